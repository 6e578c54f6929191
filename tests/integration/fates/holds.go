package main

import (
	"reflect"
	"runtime"
	"sort"
	"sync"
	"time"
)

// holding is a way to have a parcel in one's hands while one waits, to deliver it then.
type holding struct {
	kind string
	hold func(block func(), p parcel)
}

//go:noinline
func byArguments(a int, p parcel, block func(), b float64) (int, float64) {
	block()
	p.deliver()
	return a, b
}

//go:noinline
func byResult(p parcel) (q parcel) {
	q = p
	return
}

//go:noinline
func deep(n int, block func(), p *parcel) byte {
	var room [1000]byte
	room[n] = 1
	if n == 0 {
		q := *p
		p.x = nil
		block()
		q.deliver()
	} else {
		deep(n-1, block, p)
	}
	return room[n/2]
}

type worker struct {
	p     parcel
	block func()
}

func (w worker) Run()      { w.block(); w.p.deliver() }
func (w *worker) runPtr()  { w.block(); w.p.deliver() }
func (w *worker) Len() int { return 2 }
func (w *worker) Less(int, int) bool {
	if w.block != nil {
		block := w.block
		w.block = nil
		block()
		w.p.deliver()
	}
	return false
}
func (*worker) Swap(int, int) {}

type runner interface{ Run() }

func visit[T any](list []T, f func(T)) {
	for _, one := range list {
		f(one)
	}
}

var holds = []holding{
	{"a variable", func(block func(), p parcel) {
		block()
		p.deliver()
	}},
	{"a pointer", func(block func(), p parcel) {
		q := &p
		block()
		q.deliver()
		runtime.KeepAlive(q)
	}},
	{"arguments", func(block func(), p parcel) { byArguments(1, p, block, 2) }},
	{"a result", func(block func(), p parcel) {
		q := byResult(p)
		p = parcel{}
		block()
		q.deliver()
	}},
	{"a deep stack", func(block func(), p parcel) { deep(200, block, &p) }},
	{"a stack grown late", func(block func(), p parcel) {
		q := parcel{p.x, p.open, p.wake}
		wipe(3)
		block()
		wipe(4)
		q.deliver()
	}},
	{"a defer", func(block func(), p parcel) {
		defer p.deliver()
		p = parcel{}
		block()
	}},
	{"a deferred closure", func(block func(), p parcel) {
		defer func() { p.deliver() }()
		block()
	}},
	{"defers in a loop", func(block func(), p parcel) {
		for i := 0; i < 3; i++ {
			if i == 1 {
				defer p.deliver()
				p = parcel{}
			} else {
				defer func(int) {}(i)
			}
		}
		block()
	}},
	{"a defer while panicking", func(block func(), p parcel) {
		defer func() {
			recover()
			p.deliver()
		}()
		defer block()
		panic("passing")
	}},
	{"the value of a panic", func(block func(), p parcel) {
		defer func() { recover().(*parcel).deliver() }()
		defer block()
		panic(&parcel{p.x, p.open, p.wake})
	}},
	{"a recovered panic", func(block func(), p parcel) {
		q := func() (q parcel) {
			defer func() { q = recover().(parcel) }()
			panic(p)
		}()
		p = parcel{}
		block()
		q.deliver()
	}},
	{"runtime.Goexit", func(block func(), p parcel) {
		defer p.deliver()
		defer block()
		p = parcel{}
		runtime.Goexit()
	}},
	{"a stack object", func(block func(), p parcel) {
		var list [3]parcel
		at := &list[len(p.open)%3]
		*at = p
		p = parcel{}
		block()
		at.deliver()
	}},
	{"a value in flight", func(block func(), p parcel) {
		// Another goroutine waits to send it; the only receiver is the one that waits.
		c := make(chan parcel)
		help(func() { c <- p })
		block()
		(<-c).deliver()
	}},
	{"a value in flight in a select", func(block func(), p parcel) {
		c, d := make(chan parcel), make(chan int)
		help(func() {
			select {
			case c <- p:
			case <-d:
			}
		})
		block()
		(<-c).deliver()
	}},
	{"a channel's buffer", func(block func(), p parcel) {
		c := make(chan parcel, 4)
		c <- p
		p = parcel{}
		block()
		(<-c).deliver()
	}},
	{"a select's case", func(block func(), p parcel) {
		done, out := make(chan bool), make(chan parcel)
		help(func() { block(); done <- true })
		select {
		case out <- p:
		case <-done:
			p.deliver()
		}
	}},
	{"a method value", func(block func(), p parcel) {
		f := worker{p, block}.Run
		p, block = parcel{}, nil
		f()
	}},
	{"a method through an interface", func(block func(), p parcel) {
		var one runner = worker{p, block}
		p, block = parcel{}, nil
		one.Run()
	}},
	{"a pointer method as a goroutine's start", func(block func(), p parcel) {
		w := &worker{p, block}
		done := make(chan int)
		help(func() { w.runPtr(); close(done) })
	}},
	{"reflect.Call", func(block func(), p parcel) {
		reflect.ValueOf(byArguments).Call([]reflect.Value{
			reflect.ValueOf(7), reflect.ValueOf(p), reflect.ValueOf(block), reflect.ValueOf(1.5)})
	}},
	{"reflect.MakeFunc", func(block func(), p parcel) {
		f := reflect.MakeFunc(reflect.TypeOf(func(parcel) {}), func(in []reflect.Value) []reflect.Value {
			block()
			in[0].Interface().(parcel).deliver()
			return nil
		}).Interface().(func(parcel))
		q := p
		p = parcel{}
		f(q)
	}},
	{"a method by reflect", func(block func(), p parcel) {
		f := reflect.ValueOf(worker{p, block}).MethodByName("Run").Interface().(func())
		p, block = parcel{}, nil
		f()
	}},
	{"a callback in the library", func(block func(), p parcel) {
		w := &worker{p, block}
		p, block = parcel{}, nil
		sort.Sort(w)
	}},
	{"a map's iteration", func(block func(), p parcel) {
		for _, q := range map[int]parcel{1: p} {
			p = parcel{}
			block()
			q.deliver()
		}
	}},
	{"sync.Map.Range", func(block func(), p parcel) {
		var m sync.Map
		m.Store(1, p)
		p = parcel{}
		m.Range(func(_, q any) bool { block(); q.(parcel).deliver(); return true })
	}},
	{"a generic function", func(block func(), p parcel) {
		visit([]parcel{p}, func(q parcel) { block(); q.deliver() })
	}},
	{"a type switch", func(block func(), p parcel) {
		var x any = p
		switch q := x.(type) {
		case parcel:
			block()
			q.deliver()
		}
	}},
	{"its child's only reference", func(block func(), p parcel) {
		var group sync.WaitGroup
		group.Add(1)
		help(func() { defer group.Done(); block(); p.deliver() })
		group.Wait()
	}},
	{"a locked thread", func(block func(), p parcel) {
		runtime.LockOSThread()
		block()
		runtime.UnlockOSThread()
		p.deliver()
	}},
	{"sync.Once", func(block func(), p parcel) {
		new(sync.Once).Do(func() { block(); p.deliver() })
	}},
	{"time.AfterFunc", func(block func(), p parcel) {
		block()
		done := make(chan bool)
		time.AfterFunc(1, func() { p.deliver(); close(done) })
		<-done
	}},
}
