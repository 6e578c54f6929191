// A Go program with a C library that has coroutines of its own: 1,200 goroutines wait on a channel,
// and 1,200 threads of State Threads on one OS thread. It prints what it has, and aborts.
package main

/*
#cgo LDFLAGS: -lst
#include "threads.h"
*/
import "C"

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"time"
)

const each = 1200

func waiter(c chan int) {
	<-c
}

func main() {
	debug.SetTraceback("crash")
	reader, writer, err := os.Pipe()
	if err != nil {
		panic(err)
	}
	go func() {
		runtime.LockOSThread()
		C.run_threads(each, C.int(writer.Fd()))
	}()
	var one [1]byte
	reader.Read(one[:])
	c := make(chan int)
	for i := 0; i < each; i++ {
		go waiter(c)
	}
	time.Sleep(50 * time.Millisecond)
	fmt.Println("goroutines", runtime.NumGoroutine())
	panic("here it ends")
}
