// Fates starts goroutines that wait, each labelled by what it is certain to become, and then dies.
//
//	fates SEED COUNT
//
// fate=moves: something that can still act holds what it waits for, through a random chain of
// objects and of other waiting goroutines. fate=lost: nothing does.
package main

import (
	"context"
	"math/rand"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"strconv"
	"sync"
	"time"
)

type small struct {
	_ int
	x any
}

type large struct {
	_ [100]int
	x [7]any
}

type huge struct {
	_ [5000]int
	x any
}

type list struct {
	x    any
	next *list
}

var registry []any // a global
var plain map[int]any

// wrap puts x into an object of a random kind, so that only that object leads to it.
func wrap(r *rand.Rand, x any) any {
	switch r.Intn(10) {
	case 0:
		return &small{x: x}
	case 1:
		l := new(large)
		l.x[r.Intn(len(l.x))] = x
		return l
	case 2:
		return &huge{x: x}
	case 3:
		return map[int]any{r.Int(): x, 2: 3}
	case 4:
		s := make([]any, 1+r.Intn(2000))
		s[r.Intn(len(s))] = x
		return s
	case 5:
		return func() any { return x }
	case 6:
		c := make(chan any, 3)
		c <- x
		return c
	case 7:
		var head *list
		for i := 0; i < 20; i++ {
			head = &list{next: head}
			if i == 7 {
				head.x = x
			}
		}
		return head
	case 8:
		return [3]any{nil, x, 1}
	default:
		return &small{x: &[]any{1, x}}
	}
}

func wraps(r *rand.Rand, x any) any {
	for n := r.Intn(5); n >= 0; n-- {
		x = wrap(r, x)
	}
	return x
}

// waiter makes what a goroutine waits for, and the wait itself.
func waiter(r *rand.Rand) (object any, wait func()) {
	switch r.Intn(8) {
	case 0:
		c := make(chan int)
		return c, func() { c <- 1 }
	case 1:
		c := make(chan *int, r.Intn(3))
		return c, func() { <-c }
	case 2:
		c, d := make(chan int), make(chan string)
		return []any{c, d}[r.Intn(2)], func() {
			select {
			case <-c:
			case d <- "":
			}
		}
	case 3:
		m := new(sync.Mutex)
		m.Lock()
		return m, m.Lock
	case 4:
		m := new(sync.RWMutex)
		m.Lock()
		return m, m.RLock
	case 5:
		w := new(sync.WaitGroup)
		w.Add(1)
		return w, w.Wait
	case 6:
		c := sync.NewCond(new(sync.Mutex))
		return c, func() { c.L.Lock(); c.Wait() }
	default:
		s := &struct {
			pad [9]int
			m   sync.Mutex
			c   chan int
		}{c: make(chan int)}
		s.m.Lock()
		return s, s.m.Lock
	}
}

// hold waits and has x in its hands meanwhile.
func hold(wait func(), x any) {
	wait()
	runtime.KeepAlive(x)
}

func label(fate string, f func()) {
	go pprof.Do(context.Background(), pprof.Labels("fate", fate), func(context.Context) { f() })
}

// anchor gives x to something that can act.
func anchor(r *rand.Rand, x any) {
	switch r.Intn(6) {
	case 0:
		registry = append(registry, x)
	case 1:
		plain[len(plain)] = x
	case 2:
		label("moves", func() { hold(func() { time.Sleep(time.Hour) }, x) })
	case 3:
		time.AfterFunc(time.Hour, func() { runtime.KeepAlive(x) })
	case 4:
		ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
		label("moves", func() { hold(func() { <-ctx.Done(); cancel() }, x) })
	default:
		label("moves", func() {
			hold(func() {
				select {
				case <-time.After(time.Hour):
				case <-make(chan int):
				}
			}, x)
		})
	}
}

func gadget(r *rand.Rand) {
	fate := "lost"
	if r.Intn(2) == 0 {
		fate = "moves"
	}
	object, wait := waiter(r)
	w := wait
	label(fate, func() { hold(w, nil) })
	x := wraps(r, object)
	for n := r.Intn(4); n > 0; n-- {
		next, wait := waiter(r)
		held := x
		w := wait
		label(fate, func() { hold(w, held) })
		x = wraps(r, next)
	}
	if fate == "moves" {
		anchor(r, x)
	}
}

//go:noinline
func clear(n int) int {
	var a [4096]int
	for i := range a {
		a[i] = n
	}
	return a[n%len(a)]
}

func main() {
	seed, _ := strconv.ParseInt(os.Args[1], 10, 64)
	count, _ := strconv.Atoi(os.Args[2])
	r := rand.New(rand.NewSource(seed))
	plain = map[int]any{}
	for i := 0; i < count; i++ {
		gadget(r)
		if r.Intn(20) == 0 {
			runtime.GC()
		}
	}
	clear(1)
	time.Sleep(100 * time.Millisecond)
	if r.Intn(2) == 0 {
		runtime.GC()
	}
	for i := r.Intn(3); i > 0; i-- {
		go func() {
			for j := 0; ; j++ {
				_ = wraps(rand.New(rand.NewSource(int64(j))), j)
			}
		}()
	}
	time.Sleep(10 * time.Millisecond)
	debug.SetTraceback("crash")
	panic("enough")
}
