// An error path returns with the lock held. Whoever comes next waits for ever.
//
// expect: site=samples/mutex.(*account).withdraw created=samples/mutex.Leak count=3 reason="sync.Mutex.Lock|semacquire" verdict=leaked pattern=lock-never-released
package mutex

import (
	"errors"
	"sync"
)

type account struct {
	mu      sync.Mutex
	balance int
}

var errFunds = errors.New("not enough money")

func (a *account) withdraw(amount int) error {
	a.mu.Lock()
	if a.balance < amount {
		return errFunds
	}
	a.balance -= amount
	a.mu.Unlock()
	return nil
}

// Leak overdraws once; three later customers wait at the counter.
func Leak() {
	a := &account{balance: 100}
	a.withdraw(1000)
	for i := 0; i < 3; i++ {
		go a.withdraw(10)
	}
}
