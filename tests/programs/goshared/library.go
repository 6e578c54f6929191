// A Go library in a C program: its goroutines wait in all common ways, then it ends by a panic.
package main

import "C"

import (
	"runtime"
	"sync"
	"time"
)

var never = make(chan int)

//export Start
func Start(count C.int) {
	var mutex sync.Mutex
	mutex.Lock()
	for i := 0; i < int(count); i++ {
		go func() { never <- 1 }()
		go func() { mutex.Lock() }()
		go time.Sleep(time.Hour)
	}
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); {
		time.Sleep(20 * time.Millisecond)
		if runtime.NumGoroutine() >= 3*int(count) {
			break
		}
	}
	time.Sleep(200 * time.Millisecond)
	runtime.GC()
}

//export Die
func Die() {
	panic("the end of the library")
}

func main() {}
