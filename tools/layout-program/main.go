// A program that uses enough of the runtime for its debug information to name every type that
// coreanalyze reads: `make layouts` builds it with each toolchain.
package main

import (
	"context"
	"net"
	"runtime"
	"runtime/pprof"
	"sync"
	"time"
)

func main() {
	var mutex sync.RWMutex
	var group sync.WaitGroup
	cond := sync.NewCond(&mutex)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err == nil {
		defer listener.Close()
	}
	pprof.Do(context.Background(), pprof.Labels("key", "value"), func(context.Context) {
		group.Add(1)
		go func() {
			defer group.Done()
			mutex.Lock()
			cond.Broadcast()
			mutex.Unlock()
		}()
	})
	object := new([64]*int)
	runtime.SetFinalizer(object, func(*[64]*int) {})
	select {
	case <-time.After(time.Millisecond):
	}
	group.Wait()
	runtime.GC()
}
