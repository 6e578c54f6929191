// Prints what the runtime counts of its memory, then dies with the world stopped at that instant:
// reading the statistics stops the world, and nothing else runs in this program.
package main

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
)

var kept [][]byte

func main() {
	debug.SetGCPercent(-1)
	for i := 0; i < 3000; i++ {
		kept = append(kept, make([]byte, 100+i*7))
	}
	kept = append(kept, make([]byte, 20<<20))
	for i := 0; i < 500; i++ {
		go func() { select {} }()
	}
	runtime.GC()
	for i := range kept[:1000] {
		kept[i] = nil
	}
	runtime.GC()
	runtime.GOMAXPROCS(3)
	var stats runtime.MemStats
	for i := 0; i < 50; i++ {
		runtime.Gosched()
	}
	runtime.ReadMemStats(&stats)
	fmt.Fprintf(os.Stderr, "heap_in_use=%d stacks_in_use=%d last_gc=%d num_gc=%d procs=%d cpus=%d\n",
		stats.HeapInuse, stats.StackInuse, stats.LastGC, stats.NumGC, runtime.GOMAXPROCS(0),
		runtime.NumCPU())
	panic("the end of the program")
}
