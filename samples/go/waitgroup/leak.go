// Done is called only when a task succeeds, so the counter never reaches zero.
//
// expect: site=samples/waitgroup.runAll.func2 created=samples/waitgroup.runAll count=2 reason="sync.WaitGroup.Wait|semacquire" verdict=leaked pattern=waitgroup-short
package waitgroup

import (
	"errors"
	"sync"
)

func task(i int) error {
	if i == 3 {
		return errors.New("failed")
	}
	return nil
}

func runAll(tasks int, finished func()) {
	var wg sync.WaitGroup
	for i := 0; i < tasks; i++ {
		wg.Add(1)
		go func(i int) {
			if err := task(i); err != nil {
				return
			}
			wg.Done()
		}(i)
	}
	go func() {
		wg.Wait()
		finished()
	}()
}

// Leak runs two sets of tasks of which one fails each.
func Leak() {
	for i := 0; i < 2; i++ {
		runAll(5, func() {})
	}
}
