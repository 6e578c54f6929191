package contextleak

import "context"

func handleRepaired(s *session) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go watch(ctx, s)
	s.updates <- "hello"
}

// Repaired cancels when the session has been handled.
func Repaired() {
	for i := 0; i < 4; i++ {
		handleRepaired(&session{updates: make(chan string)})
	}
}
