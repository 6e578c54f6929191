// Chain makes leaked goroutines, as many as the first argument says, and dies with a core; with a
// second argument it asks Go's own detector instead and prints how many seconds that took.
//
// "daisy": each waits for the one before it, so that none can be judged without the one before.
// "apart": each waits on a channel of its own.
package main

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/pprof"
	"strconv"
	"time"
)

//go:noinline
func pass(from, to chan int) { to <- 1 + <-from }

//go:noinline
func start(shape string, count int) {
	from := make(chan int)
	for i := 0; i < count; i++ {
		to := make(chan int)
		go pass(from, to)
		if shape == "daisy" {
			from = to
		} else {
			from = make(chan int)
		}
	}
}

func main() {
	shape := os.Args[1]
	count, err := strconv.Atoi(os.Args[2])
	if err != nil {
		panic(err)
	}
	start(shape, count)
	for i := 0; i < 20; i++ {
		runtime.Gosched()
	}
	time.Sleep(time.Second)
	if len(os.Args) < 4 {
		runtime.GC()
		panic("dies with a core")
	}
	profile := pprof.Lookup("goroutineleak")
	if profile == nil {
		fmt.Println("none")
		return
	}
	begin := time.Now()
	if err := profile.WriteTo(io.Discard, 0); err != nil {
		panic(err)
	}
	fmt.Println(time.Since(begin).Seconds())
}
