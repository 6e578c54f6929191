package senderloop

func meterRepaired(id int, readings chan<- int, done <-chan struct{}) {
	for value := id; ; value++ {
		select {
		case readings <- value:
		case <-done:
			return
		}
	}
}

func averageRepaired(count int) int {
	readings, done := make(chan int), make(chan struct{})
	defer close(done)
	for id := 0; id < 5; id++ {
		go meterRepaired(id, readings, done)
	}
	total := 0
	for i := 0; i < count; i++ {
		total += <-readings
	}
	return total / count
}

// Repaired tells the meters when the reader leaves.
func Repaired() {
	averageRepaired(10)
}
