// A program whose goroutines run, all of them, all the time, through every kind of code that a
// running thread can be caught in: loops without calls, calls that grow the stack, clocks (the
// vdso), system calls, allocation and collection, maps, channels, locks, deferred calls, panics,
// reflection, signals; with cgo also C code and calls back from it (c.go). It prints "ready" and
// runs until its input ends.
package main

import (
	"bufio"
	"fmt"
	"os"
	"os/signal"
	"reflect"
	"runtime"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

var sink int64

type shape interface{ area(int) int }
type square struct{ pad [3]int }
type circle struct{ n int }

func (s square) area(n int) int  { return n * s.pad[0] }
func (c *circle) area(n int) int { return n + c.n }

var others []func()

//go:noinline
func leaf(a, b int) int { return a*b + 1 }

//go:noinline
func deep(n int) int {
	var room [200]byte
	room[n%200] = byte(n)
	if n == 0 {
		return 1
	}
	return deep(n-1) + int(room[0])
}

func loop() {
	x := 1
	for i := 0; i < 1000000; i++ {
		x = x*1664525 + 1013904223
	}
	atomic.AddInt64(&sink, int64(x))
}

func call() {
	x := 1
	for i := 0; i < 100000; i++ {
		x = leaf(x, i)
	}
	atomic.AddInt64(&sink, int64(x))
}

func grow() {
	done := make(chan int)
	go func() { done <- deep(500) }()
	atomic.AddInt64(&sink, int64(<-done))
}

func clock() {
	for i := 0; i < 10000; i++ {
		atomic.AddInt64(&sink, time.Now().UnixNano())
	}
}

func system() {
	for i := 0; i < 1000; i++ {
		syscall.Getpid()
	}
}

func allocate() {
	list := [][]byte{}
	for i := 0; i < 1000; i++ {
		list = append(list, make([]byte, i*8))
	}
	atomic.AddInt64(&sink, int64(len(list)))
}

func maps() {
	m := map[string]int{}
	for i := 0; i < 1000; i++ {
		m[fmt.Sprint("key", i)] = i
	}
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Slice(keys, func(i, j int) bool { return keys[i] < keys[j] })
	atomic.AddInt64(&sink, int64(len(strings.Join(keys, ","))))
}

func channels() {
	c := make(chan int)
	go func() {
		for i := 0; i < 1000; i++ {
			c <- i
		}
		close(c)
	}()
	for v := range c {
		atomic.AddInt64(&sink, int64(v))
	}
}

func locks() {
	var mutex sync.Mutex
	var group sync.WaitGroup
	for i := 0; i < 4; i++ {
		group.Add(1)
		go func() {
			defer group.Done()
			for j := 0; j < 1000; j++ {
				mutex.Lock()
				sink++
				mutex.Unlock()
			}
		}()
	}
	group.Wait()
}

func panics() {
	for i := 0; i < 300; i++ {
		func() {
			defer func() {
				if recover() == nil {
					atomic.AddInt64(&sink, 1)
				}
			}()
			var none *circle
			if i%2 == 0 {
				atomic.AddInt64(&sink, int64(none.area(i))) // a fault
			} else {
				panic(i)
			}
		}()
	}
}

func reflected() {
	add := reflect.ValueOf(leaf)
	made := reflect.MakeFunc(reflect.TypeOf(leaf), func(in []reflect.Value) []reflect.Value {
		return []reflect.Value{reflect.ValueOf(int(in[0].Int() + in[1].Int()))}
	}).Interface().(func(int, int) int)
	for i := 0; i < 1000; i++ {
		out := add.Call([]reflect.Value{reflect.ValueOf(i), reflect.ValueOf(2)})
		atomic.AddInt64(&sink, out[0].Int()+int64(made(i, 1)))
	}
}

func interfaces() {
	all := []shape{square{}, &circle{3}, square{[3]int{1, 2, 3}}}
	bound := all[1].area
	for i := 0; i < 10000; i++ {
		atomic.AddInt64(&sink, int64(all[i%3].area(i)+bound(i)))
	}
}

func collect() {
	runtime.GC()
	time.Sleep(5 * time.Millisecond)
}

func copying() {
	a, b := make([]byte, 1<<20), make([]byte, 1<<20)
	for i := 0; i < 10; i++ {
		copy(a, b)
	}
	atomic.AddInt64(&sink, int64(a[5]))
}

func signals() {
	c := make(chan os.Signal, 10)
	signal.Notify(c, syscall.SIGUSR1)
	for i := 0; i < 50; i++ {
		syscall.Kill(os.Getpid(), syscall.SIGUSR1)
		<-c
	}
	signal.Stop(c)
}

func forever(f func()) {
	for {
		f()
	}
}

func main() {
	runtime.GOMAXPROCS(4)
	for _, f := range append(others, loop, call, grow, clock, system, allocate, maps, channels,
		locks, panics, reflected, interfaces, collect, copying, signals) {
		go forever(f)
	}
	fmt.Println("ready")
	bufio.NewReader(os.Stdin).ReadString('\n')
}
