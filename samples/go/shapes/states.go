package main

import (
	"os"
	"os/signal"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"
)

// states makes goroutines that are in a system call, locked to their thread, or the runtime's own.
func states() {
	var pipe [2]int
	check(syscall.Pipe(pipe[:]))
	go readRaw(pipe[0])
	go lockedRead(pipe[0])
	go lockedReceive(make(chan int))
	go finished()
	signal.Notify(make(chan os.Signal, 1), syscall.SIGUSR2)
	finalizer()
}

// readRaw waits inside the kernel: a descriptor that the poller does not know.
func readRaw(fd int) {
	syscall.Read(fd, make([]byte, 1))
}

func lockedRead(fd int) {
	runtime.LockOSThread()
	syscall.Read(fd, make([]byte, 1))
}

func lockedReceive(c chan int) {
	runtime.LockOSThread()
	<-c
}

// finished ends at once and leaves a dead goroutine, which nobody must list.
func finished() {}

type finalized struct{ next *finalized }

// finalizer starts the finalizer goroutine and keeps it inside a finalizer.
func finalizer() {
	started := make(chan struct{})
	makeGarbage(started)
	for {
		runtime.GC()
		select {
		case <-started:
			return
		case <-time.After(time.Millisecond):
		}
	}
}

//go:noinline
func makeGarbage(started chan struct{}) {
	runtime.SetFinalizer(&finalized{}, func(*finalized) {
		close(started)
		<-make(chan int)
	})
}

var spins int64

// spinners start a goroutine that never comes to rest. From then on a collection may never end.
func spinners() {
	go spin()
	for atomic.LoadInt64(&spins) == 0 {
		time.Sleep(time.Millisecond)
	}
}

func spin() {
	for {
		atomic.AddInt64(&spins, 1)
	}
}
