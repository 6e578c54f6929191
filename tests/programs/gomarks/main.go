// Gomarks makes trees and drops them, in goroutines that also call C, and collects again and again:
// its heap, its threads' stacks and the collector's own memory are full of stale pointers.
//
// With the argument hold it sits still instead: one goroutine waits for a channel of which only
// memory of C's knows, one for a channel that is known on a C stack, and one has lost its channel.
package main

// #include <stdlib.h>
// #include <unistd.h>
// static void *hold(void *p) { void **q = malloc(sizeof(*q)); *q = p; return q; }
// static void keep(void *p) { void *volatile q = p; for (;;) pause(); (void)q; }
import "C"

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"
	"unsafe"
)

type node struct {
	left, right *node
	text        string
	table       map[string]*node
}

func grow(depth int) *node {
	if depth == 0 {
		return &node{text: strings.Repeat("x", 10), table: map[string]*node{}}
	}
	return &node{left: grow(depth - 1), right: grow(depth - 1)}
}

var tree *node

func inMemory(ch chan int) { <-ch }
func onStack(ch chan int)  { <-ch }
func lost(ch chan int)     { <-ch }

// Clean overwrites what earlier calls have left on the stack.
func clean(depth int) (sum int) {
	var room [64]int
	for i := range room {
		room[i] = depth
	}
	if depth > 0 {
		sum = clean(depth - 1)
	}
	return sum + room[depth%64]
}

func pointer(ch chan int) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&ch)) }

//go:noinline
func start() {
	go lost(make(chan int))
	first, second := make(chan int), make(chan int)
	go inMemory(first)
	go onStack(second)
	C.hold(pointer(first))
	go C.keep(pointer(second))
}

func main() {
	if len(os.Args) > 1 {
		start()
		clean(50)
		time.Sleep(200 * time.Millisecond)
		fmt.Println("ready")
		time.Sleep(time.Hour)
	}
	for i := 0; i < 4; i++ {
		go func() {
			for {
				grow(12)
				C.free(C.hold(nil))
			}
		}()
	}
	for {
		tree = grow(14)
		C.free(C.hold(nil))
		runtime.GC()
	}
}
