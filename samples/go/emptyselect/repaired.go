package emptyselect

func (s *server) serveRepaired() {
	s.name += " (up)"
	<-s.stop
}

// Repaired starts and stops four servers that listen to being stopped.
func Repaired() {
	for _, name := range []string{"a", "b", "c", "d"} {
		s := &server{name: name, stop: make(chan struct{})}
		go s.serveRepaired()
		close(s.stop)
	}
}
