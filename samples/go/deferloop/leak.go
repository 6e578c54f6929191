// A consumer opens something for each message and defers the closing. Deferred calls run when the
// function returns, and this one never does. While the producer lives this is no leaked goroutine;
// what grows is its list of deferred calls.
//
// expect: site=samples/deferloop.consume created=samples/deferloop.Leak count=1 reason="chan receive" rule=deep-defers verdict=suspect pattern=defers-in-a-loop
package deferloop

type file struct{ open bool }

func open(name string) *file { return &file{open: name != ""} }

func (f *file) close() { f.open = false }

func consume(messages <-chan string) {
	for message := range messages {
		f := open(message)
		defer f.close()
	}
}

// messages is the producer's end, kept for more messages to come.
var messages = make(chan string)

// Leak sends 5000 messages.
func Leak() {
	go consume(messages)
	for i := 0; i < 5000; i++ {
		messages <- "message"
	}
}
