// Gofresh says where a large slice is to which it never wrote, loses a goroutine and dies.
package main

import (
	"runtime"
	"runtime/debug"
	"time"
	"unsafe"
)

func main() {
	fresh := make([]*int, 1<<20)
	go func() { <-make(chan int) }()
	time.Sleep(10 * time.Millisecond)
	println(uintptr(unsafe.Pointer(&fresh[0])))
	debug.SetTraceback("crash")
	defer runtime.KeepAlive(fresh)
	panic("enough")
}
