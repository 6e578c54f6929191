// Dies in the way that its argument names; the runtime itself says of what.
package main

import (
	"errors"
	"os"
	"runtime/debug"
	"sync"
)

type point struct{ a, b int }
type name string
type small int8
type yes bool

func deep(n int) int {
	var room [100]int
	return deep(n+1) + room[n%100]
}

func main() {
	switch os.Args[1] {
	case "string":
		panic("a plain string")
	case "lines":
		panic("the first line\nand the second")
	case "error":
		panic(errors.New("an error's text"))
	case "int":
		panic(-42)
	case "index":
		list := []int{1}
		println(list[len(os.Args)])
	case "again":
		defer func() { panic("the second") }()
		panic("the first")
	case "struct":
		panic(point{1, 2})
	case "pointer":
		panic(&point{3, 4})
	case "slice":
		panic([]int{1})
	case "name":
		panic(name("of a type with a name"))
	case "small":
		panic(small(-5))
	case "yes":
		panic(yes(true))
	case "false":
		panic(false)
	case "unlock":
		var mu sync.Mutex
		mu.Unlock()
	case "asleep":
		var all sync.WaitGroup
		all.Add(1)
		all.Wait()
	case "overflow":
		debug.SetMaxStack(1 << 20)
		deep(0)
	}
}
