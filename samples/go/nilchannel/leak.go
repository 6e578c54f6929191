// A struct is used before its channels are made. Sending to a nil channel and receiving from one
// wait for ever, and no knowledge of the rest of memory is needed to say so.
//
// expect: site=samples/nilchannel.(*queue).push created=samples/nilchannel.Leak count=2 reason="chan send (nil chan)" verdict=leaked pattern=nil-channel
// expect: site=samples/nilchannel.(*queue).pop created=samples/nilchannel.Leak count=3 reason="chan receive (nil chan)" verdict=leaked pattern=nil-channel
package nilchannel

type queue struct{ items chan int }

func (q *queue) push(item int) { q.items <- item }
func (q *queue) pop() int      { return <-q.items }

// Leak uses queues that nobody has given a channel.
func Leak() {
	var q queue
	for i := 0; i < 2; i++ {
		go q.push(i)
	}
	for i := 0; i < 3; i++ {
		go q.pop()
	}
}
