// All holds every leak of the sample folders beside this one.
//
//	all                    every leak at once
//	all NAME               the one leak
//	all NAME repaired      its repaired twin: nothing stays behind
//	all repaired           every repaired twin
//	all list               the names
//
// See the package sample for what the environment chooses.
package main

import (
	"fmt"
	"os"

	"samples/cond"
	"samples/contextleak"
	"samples/deferloop"
	"samples/earlyreturn"
	"samples/emptyselect"
	"samples/firstanswer"
	"samples/infiniteloop"
	"samples/ionodeadline"
	"samples/mutex"
	"samples/ncast"
	"samples/nilchannel"
	"samples/orphanedreceiver"
	"samples/rangenoclose"
	"samples/rwmutex"
	"samples/sample"
	"samples/senderloop"
	"samples/timeout"
	"samples/waitgroup"
)

type pattern struct {
	name           string
	leak, repaired func()
}

var patterns = []pattern{
	{"cond", cond.Leak, cond.Repaired},
	{"contextleak", contextleak.Leak, contextleak.Repaired},
	{"deferloop", deferloop.Leak, deferloop.Repaired},
	{"earlyreturn", earlyreturn.Leak, earlyreturn.Repaired},
	{"emptyselect", emptyselect.Leak, emptyselect.Repaired},
	{"firstanswer", firstanswer.Leak, firstanswer.Repaired},
	{"infiniteloop", infiniteloop.Leak, infiniteloop.Repaired},
	{"ionodeadline", ionodeadline.Leak, ionodeadline.Repaired},
	{"mutex", mutex.Leak, mutex.Repaired},
	{"ncast", ncast.Leak, ncast.Repaired},
	{"nilchannel", nilchannel.Leak, nilchannel.Repaired},
	{"orphanedreceiver", orphanedreceiver.Leak, orphanedreceiver.Repaired},
	{"rangenoclose", rangenoclose.Leak, rangenoclose.Repaired},
	{"rwmutex", rwmutex.Leak, rwmutex.Repaired},
	{"senderloop", senderloop.Leak, senderloop.Repaired},
	{"timeout", timeout.Leak, timeout.Repaired},
	{"waitgroup", waitgroup.Leak, waitgroup.Repaired},
}

func main() {
	name, repaired := "", false
	for _, argument := range os.Args[1:] {
		switch argument {
		case "list":
			list()
			return
		case "repaired":
			repaired = true
		default:
			name = argument
		}
	}
	if !run(name, repaired) {
		fmt.Fprintf(os.Stderr, "all: there is no leak called %q; try: all list\n", name)
		os.Exit(2)
	}
	sample.Settle()
	sample.Die()
}

func list() {
	for _, p := range patterns {
		fmt.Println(p.name)
	}
}

// run runs the pattern of that name, or all of them, and reports whether there was one.
func run(name string, repaired bool) bool {
	found := false
	for _, p := range patterns {
		if name != "" && name != p.name {
			continue
		}
		found = true
		if repaired {
			p.repaired()
		} else {
			p.leak()
		}
	}
	return found
}
