// The cancel function of a context is thrown away, so its watcher is never told to stop.
//
// expect: site=samples/contextleak.watch created=samples/contextleak.handle count=4 reason="select|chan receive" verdict=leaked
package contextleak

import "context"

type session struct{ updates chan string }

func watch(ctx context.Context, s *session) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.updates:
		}
	}
}

func handle(s *session) {
	ctx, _ := context.WithCancel(context.Background())
	go watch(ctx, s)
	s.updates <- "hello"
}

// Leak handles four sessions.
func Leak() {
	for i := 0; i < 4; i++ {
		handle(&session{updates: make(chan string)})
	}
}
