// The plugin: its goroutines have frames and creation sites in its own module.
package main

var never = make(chan string)

func send(text string) {
	never <- text
}

// Start starts goroutines that wait forever.
func Start(count int) {
	for i := 0; i < count; i++ {
		go send("plugin")
	}
}

func main() {}
