// A reader misses its RUnlock when the key is missing. The next writer waits for that reader, and
// all later readers wait for the writer.
//
// expect: site=samples/rwmutex.(*registry).put created=samples/rwmutex.Leak count=1 reason="sync.RWMutex.Lock|semacquire" verdict=leaked pattern=lock-never-released
// expect: site=samples/rwmutex.(*registry).get created=samples/rwmutex.Leak count=4 reason="sync.RWMutex.RLock|semacquire" verdict=leaked pattern=lock-never-released
package rwmutex

import (
	"sync"
	"time"
)

type registry struct {
	mu     sync.RWMutex
	values map[string]int
}

func (r *registry) get(key string) (int, bool) {
	r.mu.RLock()
	value, found := r.values[key]
	if !found {
		return 0, false
	}
	r.mu.RUnlock()
	return value, true
}

func (r *registry) put(key string, value int) {
	r.mu.Lock()
	r.values[key] = value
	r.mu.Unlock()
}

// Leak asks for a key that is not there, then writes it, then reads it.
func Leak() {
	r := &registry{values: map[string]int{}}
	r.get("missing")
	go r.put("missing", 1)
	time.Sleep(20 * time.Millisecond) // the writer comes before the readers
	for i := 0; i < 4; i++ {
		go r.get("missing")
	}
}
