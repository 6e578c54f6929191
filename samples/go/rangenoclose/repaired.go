package rangenoclose

func processRepaired(work []int) int {
	jobs, results := make(chan int), make(chan int, len(work))
	defer close(jobs) // ends the workers
	for i := 0; i < 3; i++ {
		go worker(jobs, results)
	}
	for _, job := range work {
		jobs <- job
	}
	total := 0
	for range work {
		total += <-results
	}
	return total
}

// Repaired processes the same batch.
func Repaired() {
	processRepaired([]int{1, 2, 3, 4, 5})
}
