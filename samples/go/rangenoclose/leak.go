// Workers range over a channel of jobs. All jobs are sent, but nobody closes the channel.
//
// expect: site=samples/rangenoclose.worker created=samples/rangenoclose.process count=3 reason="chan receive" verdict=leaked pattern=range-without-close
package rangenoclose

func worker(jobs <-chan int, results chan<- int) {
	for job := range jobs {
		results <- job * 2
	}
}

func process(work []int) int {
	jobs, results := make(chan int), make(chan int, len(work))
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

// Leak processes one batch and leaves its three workers behind.
func Leak() {
	process([]int{1, 2, 3, 4, 5})
}
