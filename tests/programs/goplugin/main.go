// A program that loads a plugin: goplugin PLUGIN. Goroutines of both modules wait; it ends by a
// panic.
package main

import (
	"os"
	"plugin"
	"runtime"
	"time"
)

func own(never chan int) {
	<-never
}

func main() {
	loaded, err := plugin.Open(os.Args[1])
	if err != nil {
		panic(err)
	}
	start, err := loaded.Lookup("Start")
	if err != nil {
		panic(err)
	}
	start.(func(int))(10)
	never := make(chan int)
	for i := 0; i < 10; i++ {
		go own(never)
	}
	time.Sleep(200 * time.Millisecond)
	runtime.GC()
	panic("the end of the program")
}
