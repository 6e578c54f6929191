package earlyreturn

func reportRepaired(numbers []int) (int, error) {
	// What can fail comes first; only then is a goroutine started that needs a receiver.
	if err := check(numbers); err != nil {
		return 0, err
	}
	total := make(chan int)
	go func() {
		total <- sum(numbers)
	}()
	return <-total, nil
}

// Repaired sums the same rows.
func Repaired() {
	for i := 0; i < 4; i++ {
		reportRepaired([]int{1, 2, 3})
		reportRepaired([]int{1, -2, 3})
	}
}
