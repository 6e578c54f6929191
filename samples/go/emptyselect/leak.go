// A goroutine that should live as long as its server "sleeps" in select {}: it lives for ever.
//
// expect: site=samples/emptyselect.(*server).serve created=samples/emptyselect.start count=4 reason="select (no cases)" verdict=leaked
package emptyselect

type server struct {
	name string
	stop chan struct{}
}

func (s *server) serve() {
	s.name += " (up)"
	select {}
}

func start(name string) *server {
	s := &server{name: name, stop: make(chan struct{})}
	go s.serve()
	return s
}

// Leak starts and stops four servers.
func Leak() {
	for _, name := range []string{"a", "b", "c", "d"} {
		close(start(name).stop)
	}
}
