package infiniteloop

import "sync/atomic"

// Repaired clears the flag.
func Repaired() {
	p := &poller{busy: 1}
	go p.run()
	atomic.StoreInt32(&p.busy, 0)
}
