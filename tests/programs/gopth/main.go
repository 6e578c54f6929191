// A Go program with GNU Pth in it: 1,200 goroutines wait on a channel, and 1,200 threads of Pth on
// one OS thread. It prints what it has; with the argument wait it stays, else it aborts. With the
// argument busy, the first thread of Pth computes meanwhile.
package main

/*
#cgo LDFLAGS: -lpth
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

// The first goroutine keeps the process's first thread: Pth lives on another one.
func init() {
	runtime.LockOSThread()
}

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
		busy := 0
		if len(os.Args) > 1 && os.Args[1] == "busy" {
			busy = 1
		}
		C.run_threads(each, C.int(writer.Fd()), C.int(busy))
	}()
	var one [1]byte
	reader.Read(one[:])
	c := make(chan int)
	for i := 0; i < each; i++ {
		go waiter(c)
	}
	time.Sleep(50 * time.Millisecond)
	fmt.Println("goroutines", runtime.NumGoroutine())
	if len(os.Args) > 1 && os.Args[1] == "wait" {
		fmt.Println("ready")
		select {}
	}
	panic("here it ends")
}
