// Leaked goroutines, and who else has what they wait for: each role is a function.
//
//	orphan   waits on a channel that keeper has on its stack too; who started it has ended
//	keeper   waits on a channel that nobody else has
//	deep     waits on a channel that far reaches through two objects
//	far      waits on a channel that nobody else has
//	gather   waits for a wait group, whose two members are stuck on channels that nobody else has
//	guard    holds a lock, and waits on a channel that nobody else has
//	enter    two of them wait for that lock
//	worker   three of them wait on one channel, which nobody else has; main started them
package main

import (
	"os"
	"sync"
	"syscall"
	"time"
)

type inner struct{ c chan int }
type outer struct {
	name string
	in   *inner
}

//go:noinline
func orphan(c chan int) { <-c }

//go:noinline
func keeper(c, d chan int) {
	d <- 1
	c <- 2
}

//go:noinline
func deep(c chan int) { <-c }

//go:noinline
func far(o *outer, d chan int) {
	<-d
	o.in.c <- 1
}

//go:noinline
func worker(c chan int) {
	for range c {
	}
}

//go:noinline
func starter() {
	c := make(chan int)
	go orphan(c)
	go keeper(c, make(chan int))
	e := make(chan int)
	go deep(e)
	go far(&outer{"far", &inner{e}}, make(chan int))
}

//go:noinline
func member(all *sync.WaitGroup, c chan int) {
	defer all.Done()
	<-c
}

//go:noinline
func gather() {
	var all sync.WaitGroup
	all.Add(2)
	go member(&all, make(chan int))
	go member(&all, make(chan int))
	all.Wait()
}

//go:noinline
func guard(mu *sync.Mutex, locked, c chan int) {
	mu.Lock()
	defer mu.Unlock()
	close(locked)
	<-c
}

//go:noinline
func enter(mu *sync.Mutex) {
	mu.Lock()
	mu.Unlock()
}

//go:noinline
func gate() {
	mu, locked := new(sync.Mutex), make(chan int)
	go guard(mu, locked, make(chan int))
	<-locked
	for i := 0; i < 2; i++ {
		go enter(mu)
	}
}

//go:noinline
func pool() {
	c := make(chan int)
	for i := 0; i < 3; i++ {
		go worker(c)
	}
}

func main() {
	go starter()
	go gather()
	gate()
	pool()
	time.Sleep(200 * time.Millisecond)
	syscall.Kill(os.Getpid(), syscall.SIGABRT)
	time.Sleep(time.Hour)
}
