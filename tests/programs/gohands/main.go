// Gohands lets a goroutine wait for a channel to which there is one other way, and that passes
// through the runtime's hands: it can be stopped while nothing but the runtime's own frames and
// records knows of it.
//
//	gohands newborn    a goroutine that is being made
//	gohands timer      the same, by a timer
//	gohands finalizer  a finalizer that is being set, then found by the sweeper, and run
//	gohands cleanup    the same with a cleanup
//
// Prints "ready ID" before that happens, and "over" once the goroutine with that number has ended.
package main

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"time"
)

type object struct {
	_ [5000]int
	_ *int
}

var ways = map[string]func(c chan int){
	"newborn":   newborn,
	"timer":     timer,
	"finalizer": finalizer,
}

//go:noinline
func newborn(c chan int) { go func() { close(c) }() }

//go:noinline
func timer(c chan int) { time.AfterFunc(1e6, func() { close(c) }) }

//go:noinline
func finalizer(c chan int) { runtime.SetFinalizer(new(object), func(*object) { close(c) }) }

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

//go:noinline
func start(way func(chan int), over chan bool) {
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
