// Consumers wait for a condition; the producer changes it and forgets to signal.
//
// expect: site=samples/cond.(*buffer).take created=samples/cond.Leak count=3 reason="sync.Cond.Wait" verdict=leaked pattern=lost-signal
package cond

import (
	"sync"
	"time"
)

type buffer struct {
	mu       sync.Mutex
	notEmpty *sync.Cond
	items    []int
}

func newBuffer() *buffer {
	b := &buffer{}
	b.notEmpty = sync.NewCond(&b.mu)
	return b
}

func (b *buffer) take() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(b.items) == 0 {
		b.notEmpty.Wait()
	}
	item := b.items[0]
	b.items = b.items[1:]
	return item
}

func (b *buffer) add(items ...int) {
	b.mu.Lock()
	b.items = append(b.items, items...)
	b.mu.Unlock()
}

// Leak lets three consumers wait for items that are there.
func Leak() {
	b := newBuffer()
	for i := 0; i < 3; i++ {
		go b.take()
	}
	time.Sleep(20 * time.Millisecond) // the consumers wait before anything is there
	b.add(1, 2, 3)
}
