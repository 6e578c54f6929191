// Package sample is what all sample programs share: waiting until the goroutines have come to
// rest, and dying in the way the environment asks for.
//
// SAMPLE_DIE says how the program ends once it is at rest:
//
//	panic  (default) the main goroutine panics
//	quit   SIGQUIT: every thread prints its own goroutine
//	abort  SIGABRT
//	fault  a nil pointer is followed
//	throw  a fatal error of the runtime's, which nothing can recover from
//	overflow  endless recursion, to the greatest stack that Go allows
//	wait   prints "ready" and sleeps, for tests of live processes
//	exit   ends in order
//
// SAMPLE_AGE (a duration, as 75s) lets the goroutines wait for so long before that, so that the
// runtime knows an age for them.
package sample

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"sync"
	"syscall"
	"time"
)

// Settle returns when the number of goroutines has not changed for a while. The collection at
// the end makes the runtime write down since when each parked goroutine waits.
func Settle() {
	last, calm := 0, 0
	for deadline := time.Now().Add(10 * time.Second); calm < 20 && time.Now().Before(deadline); {
		time.Sleep(5 * time.Millisecond)
		if n := runtime.NumGoroutine(); n == last {
			calm++
		} else {
			last, calm = n, 0
		}
	}
	runtime.GC()
	if age, err := time.ParseDuration(os.Getenv("SAMPLE_AGE")); err == nil {
		time.Sleep(age)
	}
}

// Die ends the program as SAMPLE_DIE says.
func Die() {
	switch os.Getenv("SAMPLE_DIE") {
	case "quit":
		kill(syscall.SIGQUIT)
	case "abort":
		kill(syscall.SIGABRT)
	case "fault":
		var nothing *struct{ value int }
		nothing.value = 1
	case "throw":
		var mu sync.Mutex
		mu.Unlock()
	case "overflow":
		debug.SetMaxStack(64 << 20)
		endless(1)
	case "wait":
		fmt.Println("ready")
		time.Sleep(time.Hour)
	case "exit":
		os.Exit(0)
	default:
		panic("sample: end of the program")
	}
}

//go:noinline
func endless(depth int) int { return endless(depth+1) + depth }

func kill(signal syscall.Signal) {
	if err := syscall.Kill(syscall.Getpid(), signal); err != nil {
		panic(err)
	}
	time.Sleep(time.Hour)
}
