package mutex

func (a *account) withdrawRepaired(amount int) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.balance < amount {
		return errFunds
	}
	a.balance -= amount
	return nil
}

// Repaired unlocks on every path.
func Repaired() {
	a := &account{balance: 100}
	a.withdrawRepaired(1000)
	for i := 0; i < 3; i++ {
		go a.withdrawRepaired(10)
	}
}
