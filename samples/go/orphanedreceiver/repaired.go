package orphanedreceiver

func (p *publisher) unsubscribeRepaired(name string) {
	if s := p.subscribers[name]; s != nil {
		close(s.events)
	}
	delete(p.subscribers, name)
}

// Repaired closes the channel of every subscriber that goes.
func Repaired() {
	p := &publisher{subscribers: map[string]*subscriber{}}
	for _, name := range names {
		p.subscribe(name)
	}
	p.publish("hello")
	for _, name := range names {
		p.unsubscribeRepaired(name)
	}
}
