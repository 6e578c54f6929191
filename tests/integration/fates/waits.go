package main

import (
	"container/list"
	"context"
	"fmt"
	"io"
	"math/rand"
	"net"
	"os"
	"reflect"
	"sync"
	"time"
)

// waiting is a way to wait: block waits, wake(object) ends that; nothing else does.
type waiting struct {
	kind   string
	object any
	block  func()
	wake   func(any)
}

// soon gives up on who has not come to wait: late enough that a busy machine gets there before, as
// whoever is given up on is lost, whatever fate was meant.
func soon() <-chan time.Time {
	if live {
		return time.After(5 * time.Second)
	}
	return time.After(delay)
}

func receive[T any](x any) {
	select {
	case <-x.(chan T):
	case <-soon():
	}
}

func send[T any](x any) {
	var zero T
	select {
	case x.(chan T) <- zero:
	case <-soon():
	}
}

func shut[T any](x any) { close(x.(chan T)) }

func sender[T any](room int) waiting {
	c := make(chan T, room)
	var zero T
	for i := 0; i < room; i++ {
		c <- zero
	}
	return waiting{fmt.Sprintf("send %T %d", c, room), c, func() { c <- zero }, receive[T]}
}

func receiver[T any](room int, closes bool) waiting {
	c := make(chan T, room)
	wake := send[T]
	if closes {
		wake = shut[T]
	}
	return waiting{fmt.Sprintf("receive %T %d", c, room), c, func() { <-c }, wake}
}

type point struct{ X, Y *point }
type big [150]*int

func channel[T any](r *rand.Rand) waiting {
	if r.Intn(2) == 0 {
		return sender[T](r.Intn(3))
	}
	return receiver[T](r.Intn(3), r.Intn(2) == 0)
}

type guarded struct {
	before [9]int
	m      sync.Mutex
	names  map[string]int
	rw     sync.RWMutex
	c      chan int
}

type box[T any] struct {
	c    chan T
	once sync.Once
}

func (b *box[T]) wait()  { <-b.c }
func (b *box[T]) close() { b.once.Do(func() { close(b.c) }) }

// crowd lets some more goroutines wait for the same; block must be able to end for all.
func crowd(r *rand.Rand, fate string, w waiting) waiting {
	for n := r.Intn(4); n > 0; n-- {
		wait(r, fate, waiting{kind: w.kind + " too", block: w.block}, nil)
	}
	return w
}

func pick(r *rand.Rand, two ...any) any { return two[r.Intn(len(two))] }

var waits = []func(r *rand.Rand, fate string) waiting{
	func(r *rand.Rand, _ string) waiting { return channel[int](r) },
	func(r *rand.Rand, _ string) waiting { return channel[struct{}](r) },
	func(r *rand.Rand, _ string) waiting { return channel[*point](r) },
	func(r *rand.Rand, _ string) waiting { return channel[any](r) },
	func(r *rand.Rand, _ string) waiting { return channel[big](r) },
	func(r *rand.Rand, _ string) waiting { return channel[func()](r) },
	func(r *rand.Rand, _ string) waiting { return channel[chan int](r) },
	func(r *rand.Rand, _ string) waiting {
		c := make(chan string, r.Intn(2))
		return waiting{"range", c, func() {
			for range c {
			}
		}, shut[string]}
	},
	func(r *rand.Rand, fate string) waiting {
		c := make(chan int)
		return crowd(r, fate, waiting{"receive with others", c, func() { <-c }, shut[int]})
	},
	func(r *rand.Rand, _ string) waiting {
		c, d := make(chan int), make(chan string)
		return waiting{"select of two", pick(r, c, d), func() {
			select {
			case <-c:
			case d <- "":
			}
		}, func(x any) {
			if c, ok := x.(chan int); ok {
				close(c)
			} else {
				receive[string](x)
			}
		}}
	},
	func(r *rand.Rand, fate string) waiting {
		c := make(chan int)
		var none chan string
		return crowd(r, fate, waiting{"select with a nil channel", c, func() {
			select {
			case <-none:
			case none <- "":
			case <-c:
			}
		}, shut[int]})
	},
	func(r *rand.Rand, _ string) waiting {
		cs := make([]chan *int, 40)
		for i := range cs {
			cs[i] = make(chan *int)
		}
		return waiting{"reflect.Select", cs[r.Intn(len(cs))], func() {
			var cases []reflect.SelectCase
			for _, c := range cs {
				cases = append(cases, reflect.SelectCase{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(c)})
			}
			reflect.Select(cases)
		}, shut[*int]}
	},
	func(r *rand.Rand, _ string) waiting {
		var cs [8]chan int
		for i := range cs {
			cs[i] = make(chan int)
		}
		i := r.Intn(len(cs))
		return waiting{"array of channels", &cs[i], func() { <-cs[i] }, func(x any) { close(*x.(*chan int)) }}
	},
	func(r *rand.Rand, _ string) waiting {
		c := make(chan int)
		t := (chan<- int)(c)
		return waiting{"one-way channel", t, func() { <-c }, func(x any) { close(x.(chan<- int)) }}
	},
	func(r *rand.Rand, fate string) waiting {
		m := new(sync.Mutex)
		m.Lock()
		return crowd(r, fate, waiting{"mutex", m, func() { m.Lock(); m.Unlock() }, func(x any) { x.(*sync.Mutex).Unlock() }})
	},
	func(r *rand.Rand, _ string) waiting {
		m := new(sync.RWMutex)
		m.Lock()
		return waiting{"read lock", m, func() { m.RLock(); m.RUnlock() }, func(x any) { x.(*sync.RWMutex).Unlock() }}
	},
	func(r *rand.Rand, fate string) waiting {
		m := new(sync.RWMutex)
		m.RLock()
		return crowd(r, fate, waiting{"write lock", m, func() { m.Lock(); m.Unlock() }, func(x any) { x.(*sync.RWMutex).RUnlock() }})
	},
	func(r *rand.Rand, fate string) waiting {
		m := new(sync.RWMutex)
		m.RLock()
		wait(r, fate, waiting{kind: "write lock before", block: func() { m.Lock(); m.Unlock() }}, nil)
		return waiting{"read lock behind", m.RLocker(), func() {
			for m.TryRLock() { // until the writer is there
				m.RUnlock()
				time.Sleep(time.Millisecond)
			}
			m.RLock()
			m.RUnlock()
		}, func(x any) { x.(sync.Locker).Unlock() }}
	},
	func(r *rand.Rand, fate string) waiting {
		w := new(sync.WaitGroup)
		w.Add(1)
		return crowd(r, fate, waiting{"wait group", w, w.Wait, func(x any) { x.(*sync.WaitGroup).Done() }})
	},
	func(r *rand.Rand, _ string) waiting {
		w := new(sync.WaitGroup)
		w.Add(1)
		return waiting{"wait group by method", w.Done, w.Wait, func(x any) { x.(func())() }}
	},
	func(r *rand.Rand, fate string) waiting {
		b := newBell(new(sync.Mutex))
		return crowd(r, fate, waiting{"condition", b, b.wait, func(x any) { x.(*bell).ring(); x.(*bell).Broadcast() }})
	},
	func(r *rand.Rand, _ string) waiting {
		b := newBell(new(sync.RWMutex))
		return waiting{"condition signal", b, b.wait, func(x any) { x.(*bell).ring(); x.(*bell).Signal() }}
	},
	func(r *rand.Rand, fate string) waiting {
		c, o := make(chan int), new(sync.Once)
		wait(r, fate, waiting{kind: "once", block: func() { o.Do(func() { <-c }) }}, nil)
		return waiting{"once too", c, func() {
			time.Sleep(5 * time.Millisecond)
			o.Do(func() { <-c })
		}, shut[int]}
	},
	func(r *rand.Rand, _ string) waiting {
		s := &guarded{c: make(chan int)}
		s.m.Lock()
		return waiting{"mutex in a struct", pick(r, s, &s.m, &s.before[3]), s.m.Lock, func(x any) {
			switch x := x.(type) {
			case *guarded:
				x.m.Unlock()
			case *sync.Mutex:
				x.Unlock()
			default:
				s := (*guarded)(inside(reflect.ValueOf(x).UnsafePointer(), -24))
				s.m.Unlock()
			}
		}}
	},
	func(r *rand.Rand, _ string) waiting {
		s := make([]guarded, 30)
		i := 1 + r.Intn(29)
		s[i].rw.Lock()
		return waiting{"lock in a slice", &s[i].rw, s[i].rw.Lock, func(x any) { x.(*sync.RWMutex).Unlock() }}
	},
	func(r *rand.Rand, _ string) waiting {
		b := &box[point]{c: make(chan point)}
		return waiting{"method value", pick(r, b, b.close), b.wait, func(x any) {
			if f, ok := x.(func()); ok {
				f()
			} else {
				x.(*box[point]).close()
			}
		}}
	},
	func(r *rand.Rand, _ string) waiting {
		in, out := io.Pipe()
		return waiting{"io.Pipe", out, func() { in.Read(make([]byte, 9)) }, func(x any) { x.(io.Closer).Close() }}
	},
	func(r *rand.Rand, _ string) waiting {
		in, out := net.Pipe()
		return waiting{"net.Pipe", out, func() { in.Read(make([]byte, 9)) }, func(x any) { x.(io.Closer).Close() }}
	},
	func(r *rand.Rand, _ string) waiting {
		ctx, cancel := context.WithCancel(context.Background())
		return waiting{"context", cancel, func() { <-ctx.Done() }, func(x any) { x.(context.CancelFunc)() }}
	},
	func(r *rand.Rand, _ string) waiting {
		parent, cancel := context.WithCancel(context.Background())
		ctx, other := context.WithCancel(context.WithValue(parent, &end, 1))
		if r.Intn(2) == 0 {
			cancel, other = other, cancel
		}
		_ = other
		return waiting{"context below", cancel, func() {
			select {
			case <-ctx.Done():
			case <-make(chan int):
			}
		}, func(x any) { x.(context.CancelFunc)() }}
	},
	func(r *rand.Rand, fate string) waiting {
		ctx, cancel := context.WithCancel(context.Background())
		if fate == "moves" {
			ctx, cancel = context.WithTimeout(ctx, 20*time.Hour) // far off, but its timer can act
		}
		return waiting{"context with a deadline", cancel, func() { <-ctx.Done() }, func(x any) { x.(context.CancelFunc)() }}
	},
	func(r *rand.Rand, _ string) waiting {
		t := time.NewTimer(30 * time.Hour)
		t.Stop()
		return waiting{"stopped timer", t, func() { <-t.C }, func(x any) { x.(*time.Timer).Reset(1) }}
	},
	func(r *rand.Rand, _ string) waiting {
		t := time.NewTicker(30 * time.Hour)
		t.Stop()
		return waiting{"stopped ticker", t, func() {
			select {
			case <-t.C:
			case <-make(chan int):
			}
		}, func(x any) { x.(*time.Ticker).Reset(time.Millisecond) }}
	},
	func(r *rand.Rand, _ string) waiting {
		c := make(chan int)
		t := time.AfterFunc(30*time.Hour, func() { close(c) })
		t.Stop()
		return waiting{"stopped function", t, func() { <-c }, func(x any) { x.(*time.Timer).Reset(1) }}
	},
	func(r *rand.Rand, fate string) waiting {
		g := &group{room: make(chan struct{}, 2)}
		g.start(func() {})
		c := make(chan int)
		for i := 0; i < 3; i++ {
			wait(r, fate, waiting{kind: "worker", block: func() { g.start(func() { <-c }) }}, nil)
		}
		return waiting{"group", c, func() { time.Sleep(5 * time.Millisecond); g.Wait() }, shut[int]}
	},
	func(r *rand.Rand, fate string) waiting {
		jobs, results := make(chan func() int), make(chan int)
		for i := 0; i < 1+r.Intn(3); i++ {
			wait(r, fate, waiting{kind: "pool worker", block: func() {
				for job := range jobs {
					results <- job()
				}
			}}, nil)
		}
		return waiting{"pool results", jobs, func() { <-results }, func(x any) {
			select {
			case x.(chan func() int) <- func() int { return 1 }:
			case <-soon():
			}
			close(x.(chan func() int))
		}}
	},
	func(r *rand.Rand, fate string) waiting {
		in, out, err := os.Pipe()
		if err != nil || fate == "lost" { // a lost end is closed by its finalizer
			return receiver[int](0, true)
		}
		return waiting{"os.Pipe", out, func() { in.Read(make([]byte, 1)) }, func(x any) { x.(*os.File).Close() }}
	},
	func(r *rand.Rand, _ string) waiting {
		m := new(sync.Mutex)
		m.Lock()
		return waiting{"deferred lock", m, func() {
			defer func() { recover() }()
			defer m.Unlock()
			defer m.Lock()
			panic(1)
		}, func(x any) { x.(*sync.Mutex).Unlock() }}
	},
	func(r *rand.Rand, _ string) waiting {
		c := make(chan int)
		return waiting{"reflect.Value.Recv", c, func() { reflect.ValueOf(c).Recv() }, shut[int]}
	},
	func(r *rand.Rand, _ string) waiting {
		b := newBell(new(sync.RWMutex).RLocker())
		return waiting{"condition of readers", b, b.wait, func(x any) { x.(*bell).ring(); x.(*bell).Broadcast() }}
	},
	func(r *rand.Rand, fate string) waiting {
		s := new(semaphore)
		return crowd(r, fate, waiting{"semaphore", s, func() { s.acquire(); s.release() },
			func(x any) { x.(*semaphore).release() }})
	},
	func(r *rand.Rand, fate string) waiting {
		f := &flights{calls: map[string]*call{"": {}, "k": {}}}
		f.calls["k"].Add(1)
		return crowd(r, fate, waiting{"single flight", f, func() { f.join("k") },
			func(x any) { x.(*flights).calls["k"].Done() }})
	},
	func(r *rand.Rand, _ string) waiting { // the library starts a goroutine that waits for it
		above := &foreign{context.Background(), make(chan struct{})}
		ctx, cancel := context.WithCancel(above)
		return waiting{"context below another's", above.done, func() { <-ctx.Done(); cancel() },
			func(x any) { close(x.(chan struct{})) }}
	},
}

// semaphore is as golang.org/x/sync/semaphore: who waits has a channel of its own in a list.
type semaphore struct {
	m     sync.Mutex
	free  int
	queue list.List
}

func (s *semaphore) acquire() {
	s.m.Lock()
	if s.free > 0 {
		s.free--
		s.m.Unlock()
		return
	}
	c := make(chan struct{})
	s.queue.PushBack(c)
	s.m.Unlock()
	<-c
}

func (s *semaphore) release() {
	s.m.Lock()
	defer s.m.Unlock()
	if first := s.queue.Front(); first != nil {
		close(s.queue.Remove(first).(chan struct{}))
	} else {
		s.free++
	}
}

// flights is as golang.org/x/sync/singleflight.
type flights struct {
	m     sync.Mutex
	calls map[string]*call
}

type call struct {
	sync.WaitGroup
	value any
}

func (f *flights) join(key string) any {
	f.m.Lock()
	c := f.calls[key]
	f.m.Unlock()
	c.Wait()
	return c.value
}

// foreign is a context that package context knows nothing of.
type foreign struct {
	context.Context
	done chan struct{}
}

func (f *foreign) Done() <-chan struct{} { return f.done }

func (f *foreign) Err() error {
	select {
	case <-f.done:
		return context.Canceled
	default:
		return nil
	}
}

// bell is a condition that does not forget.
type bell struct {
	*sync.Cond
	rung bool
}

func newBell(l sync.Locker) *bell { return &bell{Cond: sync.NewCond(l)} }

func (b *bell) wait() {
	b.L.Lock()
	for !b.rung {
		b.Wait()
	}
	b.L.Unlock()
}

func (b *bell) ring() {
	b.L.Lock()
	b.rung = true
	b.L.Unlock()
}

// shout wakes who has the lock now, and waits next.
func (b *bell) shout() {
	b.L.Lock()
	b.L.Unlock()
	b.Broadcast()
}

// group is as errgroup with a limit.
type group struct {
	sync.WaitGroup
	room chan struct{}
}

func (g *group) start(f func()) {
	g.room <- struct{}{}
	g.Add(1)
	defer func() { <-g.room; g.Done() }()
	f()
}
