// Many parks goroutines, 110000 unless the first argument says otherwise, a few frames deep at
// five different sites. It is the subject of the benchmarks.
package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync"
	"time"

	"samples/sample"
)

type store struct {
	mu      sync.Mutex
	written *sync.Cond
	reads   chan int
	writes  chan int
	stop    chan struct{}
}

//go:noinline
func (s *store) read(key int) int { return s.fetch(key) }

//go:noinline
func (s *store) fetch(key int) int { return key + <-s.reads }

//go:noinline
func (s *store) write(key int) { s.flush(key) }

//go:noinline
func (s *store) flush(key int) { s.writes <- key }

//go:noinline
func (s *store) watch(key int) int { return s.next(key) }

//go:noinline
func (s *store) next(key int) int {
	select {
	case value := <-s.reads:
		return value + key
	case <-s.stop:
		return key
	}
}

//go:noinline
func (s *store) sync(key int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.written.Wait()
	return key
}

//go:noinline
func (s *store) expire(key int) int {
	time.Sleep(time.Hour)
	return key
}

func (s *store) start(key int) {
	switch key % 5 {
	case 0:
		go s.read(key)
	case 1:
		go s.write(key)
	case 2:
		go s.watch(key)
	case 3:
		go s.sync(key)
	case 4:
		go s.expire(key)
	}
}

func main() {
	count := 110000
	if len(os.Args) > 1 {
		var err error
		if count, err = strconv.Atoi(os.Args[1]); err != nil {
			fmt.Fprintln(os.Stderr, "many: the argument is a number of goroutines")
			os.Exit(2)
		}
	}
	s := &store{reads: make(chan int), writes: make(chan int), stop: make(chan struct{})}
	s.written = sync.NewCond(&s.mu)
	for key := 0; key < count; key++ {
		s.start(key)
	}
	for runtime.NumGoroutine() < count {
		time.Sleep(time.Millisecond)
	}
	sample.Settle()
	sample.Die()
	runtime.KeepAlive(s)
}
