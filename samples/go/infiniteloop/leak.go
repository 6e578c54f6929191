// A loop waits for a flag that is set before the loop begins and cleared by nobody. It is not
// parked, so no proof will ever call it leaked: its state is the finding.
//
// expect: site=samples/infiniteloop.(*poller).run created=samples/infiniteloop.Leak count=1 reason="running|runnable|preempted" verdict=active
package infiniteloop

import "sync/atomic"

type poller struct{ busy, rounds int32 }

func (p *poller) run() {
	for atomic.LoadInt32(&p.busy) != 0 {
		atomic.AddInt32(&p.rounds, 1)
	}
}

// Leak starts a poller that never sees an end.
func Leak() {
	p := &poller{busy: 1}
	go p.run()
}
