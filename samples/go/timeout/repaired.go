package timeout

import "time"

func getRepaired(url string) (response, error) {
	// With room for the result the late sender can end.
	result := make(chan response, 1)
	go func() {
		result <- fetch(url)
	}()
	select {
	case r := <-result:
		return r, nil
	case <-time.After(time.Millisecond):
		return response{}, errTimeout
	}
}

// Repaired asks as often, and as impatiently.
func Repaired() {
	for i := 0; i < 5; i++ {
		getRepaired("http://example.com/")
	}
}
