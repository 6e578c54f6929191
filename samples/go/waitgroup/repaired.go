package waitgroup

import "sync"

func runAllRepaired(tasks int, finished func()) {
	var wg sync.WaitGroup
	for i := 0; i < tasks; i++ {
		wg.Add(1)
		go func(i int) {
			defer wg.Done()
			if err := task(i); err != nil {
				return
			}
		}(i)
	}
	go func() {
		wg.Wait()
		finished()
	}()
}

// Repaired counts failed tasks too.
func Repaired() {
	for i := 0; i < 2; i++ {
		runAllRepaired(5, func() {})
	}
}
