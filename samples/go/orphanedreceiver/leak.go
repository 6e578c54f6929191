// A subscriber waits for its next event. The publisher forgets the subscriber, and with it the
// only reference that could have sent.
//
// expect: site=samples/orphanedreceiver.(*subscriber).run created=samples/orphanedreceiver.(*publisher).subscribe count=6 reason="chan receive" verdict=leaked pattern=orphaned-receiver
package orphanedreceiver

type subscriber struct {
	events chan string
	seen   int
}

func (s *subscriber) run() {
	for {
		event, open := <-s.events
		if !open {
			return
		}
		s.seen += len(event)
	}
}

type publisher struct{ subscribers map[string]*subscriber }

func (p *publisher) subscribe(name string) {
	s := &subscriber{events: make(chan string)}
	p.subscribers[name] = s
	go s.run()
}

func (p *publisher) unsubscribe(name string) {
	delete(p.subscribers, name)
}

func (p *publisher) publish(event string) {
	for _, s := range p.subscribers {
		s.events <- event
	}
}

var names = []string{"ann", "bob", "cid", "dan", "eve", "fay"}

// Leak lets six subscribers come and go.
func Leak() {
	p := &publisher{subscribers: map[string]*subscriber{}}
	for _, name := range names {
		p.subscribe(name)
	}
	p.publish("hello")
	for _, name := range names {
		p.unsubscribe(name)
	}
}
