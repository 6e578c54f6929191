// Meters report in a loop. The reader takes a few readings and leaves; the meters go on sending.
//
// expect: site=samples/senderloop.meter created=samples/senderloop.average count=5 reason="chan send" verdict=leaked pattern=senders-in-a-loop
package senderloop

func meter(id int, readings chan<- int) {
	for value := id; ; value++ {
		readings <- value
	}
}

func average(count int) int {
	readings := make(chan int)
	for id := 0; id < 5; id++ {
		go meter(id, readings)
	}
	total := 0
	for i := 0; i < count; i++ {
		total += <-readings
	}
	return total / count
}

// Leak reads ten values of five meters.
func Leak() {
	average(10)
}
