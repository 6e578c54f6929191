// Cgo holds goroutines that are inside C: sleeping there, called back into Go from there, and
// parked in Go below a C frame.
package main

/*
#include <unistd.h>

extern void goCallback(int depth);

static void sleepInC(void) { sleep(3600); }
static void callBack(int depth) { goCallback(depth); }
static int add(int a, int b) { return a + b; }
*/
import "C"

import (
	"runtime"
	"time"

	"samples/sample"
)

var idle = make(chan struct{})

//go:noinline
func park() { <-idle }

//export goCallback
func goCallback(depth C.int) {
	if depth > 1 {
		C.callBack(depth - 1)
		return
	}
	park()
}

func inC() { C.sleepInC() }

func lockedInC() {
	runtime.LockOSThread()
	C.sleepInC()
}

func calledBack() { C.callBack(1) }

func calledBackTwice() { C.callBack(3) }

func main() {
	C.add(1, 2)
	go inC()
	go lockedInC()
	go calledBack()
	go calledBackTwice()
	go park()
	time.Sleep(50 * time.Millisecond)
	sample.Settle()
	sample.Die()
}
