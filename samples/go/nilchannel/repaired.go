package nilchannel

func newQueue() *queue { return &queue{items: make(chan int, 4)} }

// Repaired makes the channel first, and pops as often as it pushes.
func Repaired() {
	q := newQueue()
	for i := 0; i < 3; i++ {
		go q.push(i)
	}
	for i := 0; i < 3; i++ {
		go q.pop()
	}
}
