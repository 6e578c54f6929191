// Gohands lets a goroutine wait for a channel to which there is one other way, and that passes
// through the runtime's hands: it can be stopped while nothing but the runtime's own frames and
// records knows of it.
//
//	gohands newborn    a goroutine that is being made
//	gohands timer      the same, by a timer
//	gohands finalizer  a finalizer that is being set, then found by the sweeper, and run
//	gohands cleanup    the same with a cleanup
//	gohands reflecting an argument that came in a register to a function made by reflect
//	gohands copying    a variable of a goroutine that runs, in code that has no map for it
//
// or does what the runtime's books are not in order of, for a moment:
//
//	gohands spans      makes spans anew from records of old ones
//	gohands dirty      allocates where dead objects were
//	gohands stale      has the address of a variable, in a number, that is no more
//	gohands weak       has weak pointers to what dies together with what it points to
//
// Prints "ready ID" before that happens, and "over" once the goroutine with that number has ended.
package main

import (
	"bytes"
	"fmt"
	"os"
	"reflect"
	"runtime"
	"time"
	"unsafe"
)

type object struct {
	_ [5000]int
	_ *int
}

var ways = map[string]func(c chan int){
	"newborn":   newborn,
	"timer":     timer,
	"finalizer": finalizer,
	"copying":   copying,

	"reflecting": reflecting,

	"spans": refill,
	"dirty": reuse,
	"stale": stale,
}

//go:noinline
func newborn(c chan int) { go func() { close(c) }() }

//go:noinline
func timer(c chan int) { time.AfterFunc(1e6, func() { close(c) }) }

//go:noinline
func finalizer(c chan int) { runtime.SetFinalizer(new(object), func(*object) { close(c) }) }

var made = reflect.MakeFunc(reflect.TypeOf(func(chan int) {}), func(in []reflect.Value) []reflect.Value {
	in[0].Close()
	return nil
}).Interface().(func(chan int))

//go:noinline
func reflecting(c chan int) { made(c) }

type six struct {
	_    [2]*int
	c    chan int
	_    [2]string
	done *int
}

//go:noinline
func (s *six) fill(c chan int) { s.c = c }

//go:noinline
func together(c chan int) (s six) {
	s.fill(c)
	return s
}

//go:noinline
func (s six) close() { close(s.c) }

var from, to [60]int

// The compiler copies by runtime.duffcopy, until 1.26: not a call, in the collector's eyes. The
// numbers are for the registers, so that they hold nothing older.
//
//go:noinline
func copying(c chan int) {
	s := together(c)
	a, b, d, e, f, g, h, i, j, k := 1, 2, 3, 4, 5, 6, 7, 8, 9, 10
	for n := range from {
		x := from[n]
		a, b, d, e, f = b+x, d^x, e-x, f+a, g^b
		g, h, i, j, k = h-a, i^x, j+b, k-x, a^x
	}
	room := from
	to[0], to[1], to[2], to[3], to[4] = a, b, d, e, f
	to[5], to[6], to[7], to[8], to[9] = g, h, i, j, k
	s.close()
	to = room
}

var kept []interface{}

//go:noinline
func fill(sizes ...int) {
	for _, size := range sizes {
		for i := 0; i < 20000/size; i++ {
			kept = append(kept, make([]*int, size))
		}
	}
}

//go:noinline
func spans() { fill(10, 6, 3, 40, 2) }

//go:noinline
func refill(c chan int) {
	fill(2, 3, 6, 10, 40)
	kept = nil
	runtime.GC()
	runtime.GC()
	spans()
	close(c)
}

var spots uintptr

//go:noinline
func spot(at uintptr) { spots ^= at }

//go:noinline
func furnish(room *[4]*[30]int) {
	for i := range room {
		room[i] = new([30]int)
	}
}

//go:noinline
func stale(c chan int) {
	var room [4]*[30]int
	for i := 0; i < 8; i++ {
		runtime.GC() // the stack gets smaller, then stays where it is
	}
	furnish(&room)
	at := uintptr(unsafe.Pointer(&room))
	runtime.GC()
	runtime.GC()
	for i := 0; i < 1000; i++ {
		spot(at)
	}
	close(c)
}

type family [5000]*[3]*int

var families [100]*family

//go:noinline
func dirty() {
	for i := range families {
		family, child := new(family), new([3]*int)
		for j := range family {
			family[j] = child
		}
		families[i] = family
	}
}

//go:noinline
func reuse(c chan int) {
	for i := 0; i < 8; i++ {
		dirty()
		families = [100]*family{}
		runtime.GC()
		runtime.GC()
	}
	close(c)
}

//go:noinline
func wait(c chan int, over chan bool) {
	go func() {
		var text [64]byte
		number := string(bytes.Fields(text[:runtime.Stack(text[:], false)])[1])
		go func() {
			time.Sleep(20 * time.Millisecond)
			fmt.Println("ready", number)
			over <- true
		}()
		<-c
		over <- true
	}()
}

// Moving a stack leaves words of it in vector registers.
//
//go:noinline
func grow(n int) int {
	var room [4096]int
	room[n] = n
	return room[n/2]
}

//go:noinline
func start(way func(chan int), over chan bool) {
	grow(1)
	c := make(chan int)
	wait(c, over)
	<-over
	way(c)
}

func main() {
	over := make(chan bool)
	start(ways[os.Args[1]], over)
	for {
		select {
		case <-over:
			fmt.Println("over")
			return
		case <-time.After(10 * time.Millisecond):
			runtime.GC()
		}
	}
}
