package deferloop

func handle(message string) {
	f := open(message)
	defer f.close()
}

func consumeRepaired(messages <-chan string) {
	for message := range messages {
		handle(message)
	}
}

// Repaired closes each file when its message is handled, and ends the consumer.
func Repaired() {
	messages := make(chan string)
	go consumeRepaired(messages)
	for i := 0; i < 5000; i++ {
		messages <- "message"
	}
	close(messages)
}
