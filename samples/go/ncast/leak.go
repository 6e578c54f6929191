// Every replica is asked and sends its answer to one channel, from which one answer is taken.
//
// expect: site=samples/ncast.fastest.func1 created=samples/ncast.fastest count=7 reason="chan send" verdict=leaked pattern=n-cast
package ncast

type answer struct{ replica, value int }

func ask(replica int) answer { return answer{replica, replica * replica} }

func fastest(replicas int) answer {
	answers := make(chan answer)
	for i := 0; i < replicas; i++ {
		go func(replica int) {
			answers <- ask(replica)
		}(i)
	}
	return <-answers
}

// Leak asks eight replicas; seven answers are never taken.
func Leak() {
	fastest(8)
}
