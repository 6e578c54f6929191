// A program that works and watches itself: golive GOROUTINES. Tokens go round in rings of
// goroutines, workers allocate, threads sit in system calls, goroutines come and go; a clock notes
// the longest stall. On every line of its input it prints one line of its state:
//
//	work=N goroutines=N stall_us=N errors=N
//
// stall_us is since the line before. On the line "profile" it also takes its own goroutine profile
// in each form that there is, and adds how long that took: profile_us, text_us, traces_us (debug=0,
// 1 and 2).
package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/pprof"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	ringSize = 100
	rings    = 8
	workers  = 4
)

var work, errors, stall int64

type token struct{ ring, hops int }

func pass(ring int, in, out chan token) {
	for t := range in {
		if t.ring != ring {
			atomic.AddInt64(&errors, 1)
		}
		t.hops++
		atomic.AddInt64(&work, 1)
		if t.hops%ringSize == 0 {
			time.Sleep(time.Millisecond) // some load, not all of the machine
		}
		out <- t
	}
}

func startRing(ring int) {
	first := make(chan token, 1)
	in := first
	for i := 0; i < ringSize; i++ {
		out := make(chan token, 1)
		if i == ringSize-1 {
			out = first
		}
		go pass(ring, in, out)
		in = out
	}
	first <- token{ring: ring}
}

func churn() {
	for {
		done := make(chan []byte)
		go func() { done <- make([]byte, 1000) }()
		if len(<-done) != 1000 {
			atomic.AddInt64(&errors, 1)
		}
		atomic.AddInt64(&work, 1)
		time.Sleep(200 * time.Microsecond)
	}
}

// A thread that is in a system call most of the time, and sees what interrupts it.
func call() {
	fds := make([]int, 2)
	if err := syscall.Pipe(fds); err != nil {
		panic(err)
	}
	go func() {
		for {
			syscall.Write(fds[1], []byte{1})
			time.Sleep(3 * time.Millisecond)
		}
	}()
	one := make([]byte, 1)
	for {
		n, err := syscall.Read(fds[0], one)
		if err == syscall.EINTR {
			continue
		}
		if n != 1 || err != nil {
			atomic.AddInt64(&errors, 1)
			return
		}
		atomic.AddInt64(&work, 1)
	}
}

func clock() {
	for last := time.Now(); ; {
		time.Sleep(500 * time.Microsecond)
		now := time.Now()
		if d := int64(now.Sub(last)); d > atomic.LoadInt64(&stall) {
			atomic.StoreInt64(&stall, d)
		}
		last = now
	}
}

func profile(debug int) int64 {
	before := time.Now()
	pprof.Lookup("goroutine").WriteTo(io.Discard, debug)
	return time.Since(before).Microseconds()
}

func report(line string) {
	if line == "profile" {
		fmt.Printf("profile_us=%d text_us=%d traces_us=%d ", profile(0), profile(1), profile(2))
	}
	fmt.Printf("work=%d goroutines=%d stall_us=%d errors=%d\n", atomic.LoadInt64(&work),
		runtime.NumGoroutine(), atomic.SwapInt64(&stall, 0)/1000, atomic.LoadInt64(&errors))
}

func main() {
	count := 0
	fmt.Sscan(os.Args[1], &count)
	never := make(chan int)
	for i := 0; i < count; i++ {
		go func() { never <- 1 }()
	}
	for i := 0; i < rings; i++ {
		startRing(i)
	}
	for i := 0; i < workers; i++ {
		go churn()
		go call()
	}
	go clock()
	for runtime.NumGoroutine() < count {
		time.Sleep(time.Millisecond)
	}
	fmt.Println("ready")
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		report(lines.Text())
	}
}
