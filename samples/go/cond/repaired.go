package cond

import "time"

func (b *buffer) addRepaired(items ...int) {
	b.mu.Lock()
	b.items = append(b.items, items...)
	b.mu.Unlock()
	b.notEmpty.Broadcast()
}

// Repaired wakes the consumers.
func Repaired() {
	b := newBuffer()
	for i := 0; i < 3; i++ {
		go b.take()
	}
	time.Sleep(20 * time.Millisecond)
	b.addRepaired(1, 2, 3)
}
