// A request is given up after a timeout. The goroutine that fetches still sends its result, to
// a channel that nobody will receive from again.
//
// expect: site=samples/timeout.get.func1 created=samples/timeout.get count=5 reason="chan send" verdict=leaked pattern=timeout-leak
package timeout

import (
	"errors"
	"time"
)

type response struct{ body []byte }

var errTimeout = errors.New("timeout")

func fetch(url string) response {
	time.Sleep(20 * time.Millisecond)
	return response{body: []byte("body of " + url)}
}

func get(url string) (response, error) {
	result := make(chan response)
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

// Leak asks five times, each time too impatiently.
func Leak() {
	for i := 0; i < 5; i++ {
		get("http://example.com/")
	}
}
