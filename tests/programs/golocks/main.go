// Goroutines that hold one lock and wait for another, as the stack's deferred unlocks show. All locks
// are globals, so reachability proves nothing.
//
//	crossed   two goroutines take two mutexes in different order         deadlock
//	again     a goroutine takes a mutex that it holds already            deadlock
//	reread    a reader comes back while a writer waits for it            deadlock
//	behind    waits for what one of crossed holds                        deadlock
//	patient   waits for a mutex whose holder sleeps                      waiting
//	eager     has deferred the unlock before it gets the lock            waiting
package main

import (
	"sync"
	"time"
)

type account struct {
	mu    sync.Mutex
	coins int
}

var (
	mine, yours, own, slow account
	early, late            account
	book                   sync.RWMutex
	both, reading          sync.WaitGroup
)

func crossed(from, to *account) {
	from.mu.Lock()
	defer from.mu.Unlock()
	both.Done()
	both.Wait()
	take(to)
	from.coins--
}

//go:noinline
func take(to *account) {
	to.mu.Lock()
	defer to.mu.Unlock()
	to.coins++
}

func again() {
	own.mu.Lock()
	defer own.mu.Unlock()
	take(&own)
}

func reread() {
	book.RLock()
	defer book.RUnlock()
	reading.Done()
	time.Sleep(200 * time.Millisecond)
	book.RLock()
	defer book.RUnlock()
}

func write() {
	reading.Wait()
	book.Lock()
	defer book.Unlock()
}

func behind() {
	both.Wait()
	take(&mine)
}

func sleeper() {
	slow.mu.Lock()
	defer slow.mu.Unlock()
	time.Sleep(time.Hour)
}

func patient() { take(&slow) }

// eager and hasty look like a circle, but a third one holds both locks and will let them go.
func eager() {
	defer early.mu.Unlock()
	late.mu.Lock()
	defer late.mu.Unlock()
	early.mu.Lock()
}

func hasty() {
	defer late.mu.Unlock()
	early.mu.Lock()
	defer early.mu.Unlock()
	late.mu.Lock()
}

func third() {
	early.mu.Lock()
	late.mu.Lock()
	time.Sleep(time.Hour)
	late.mu.Unlock()
	early.mu.Unlock()
}

func main() {
	both.Add(2)
	reading.Add(1)
	go crossed(&mine, &yours)
	go crossed(&yours, &mine)
	go again()
	go reread()
	go write()
	go behind()
	go sleeper()
	go third()
	time.Sleep(100 * time.Millisecond)
	go patient()
	go eager()
	go hasty()
	time.Sleep(500 * time.Millisecond)
	panic(mine.coins + yours.coins + own.coins + slow.coins)
}
