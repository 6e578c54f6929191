//go:build go1.24

package main

import (
	"runtime"
	gone "weak"
)

func init() {
	ways["cleanup"] = cleanup
	ways["weak"] = weak
}

//go:noinline
func cleanup(c chan int) { runtime.AddCleanup(new(object), func(c chan int) { close(c) }, c) }

// Spans of small objects are swept first.
type parent struct {
	child *[2]*int
	_     [20]*int
}

var pointers []gone.Pointer[parent]

//go:noinline
func weak(c chan int) {
	for i := 0; i < 20000; i++ {
		pointers = append(pointers, gone.Make(&parent{child: new([2]*int)}))
	}
	close(c)
}
