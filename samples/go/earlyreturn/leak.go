// The work is started, then something else fails and the function returns before it receives
// the result.
//
// expect: site=samples/earlyreturn.report.func1 created=samples/earlyreturn.report count=4 reason="chan send" verdict=leaked pattern=premature-return
package earlyreturn

import "fmt"

func sum(numbers []int) int {
	total := 0
	for _, n := range numbers {
		total += n
	}
	return total
}

func check(numbers []int) error {
	for i, n := range numbers {
		if n < 0 {
			return fmt.Errorf("number %d is negative", i)
		}
	}
	return nil
}

func report(numbers []int) (int, error) {
	total := make(chan int)
	go func() {
		total <- sum(numbers)
	}()
	if err := check(numbers); err != nil {
		return 0, err
	}
	return <-total, nil
}

// Leak sums good and bad numbers; the four bad rows leave a sender each.
func Leak() {
	for i := 0; i < 4; i++ {
		report([]int{1, 2, 3})
		report([]int{1, -2, 3})
	}
}
