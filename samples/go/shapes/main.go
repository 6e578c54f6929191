// Shapes holds goroutines of every state, every kind of wait and every form of stack. It is not a
// program with mistakes: it is what a reader of goroutines must be able to read. The names of the
// functions say what is to be seen.
//
//	shapes           everything that comes to rest
//	shapes spin      and goroutines that run, which no signal interrupts when asyncpreemptoff=1
package main

import (
	"os"

	"samples/sample"
)

func main() {
	waits()
	states()
	frames()
	sample.Settle()
	if len(os.Args) > 1 && os.Args[1] == "spin" {
		spinners()
	}
	sample.Die()
}
