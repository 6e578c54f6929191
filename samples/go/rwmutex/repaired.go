package rwmutex

func (r *registry) getRepaired(key string) (int, bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	value, found := r.values[key]
	return value, found
}

// Repaired unlocks whether the key is there or not.
func Repaired() {
	r := &registry{values: map[string]int{}}
	r.getRepaired("missing")
	go r.put("missing", 1)
	for i := 0; i < 4; i++ {
		go r.getRepaired("missing")
	}
}
