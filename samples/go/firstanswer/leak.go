// Two sources are asked at once and the first answer wins. The slower one has nobody left to
// send its answer to.
//
// expect: site=samples/firstanswer.lookup.func2 created=samples/firstanswer.lookup count=3 reason="chan send" verdict=leaked pattern=forgotten-sender
package firstanswer

import "time"

func fromCache(key string) string { return "cached " + key }

func fromDisk(key string) string {
	time.Sleep(10 * time.Millisecond)
	return "stored " + key
}

func lookup(key string) string {
	cache, disk := make(chan string), make(chan string)
	go func() { cache <- fromCache(key) }()
	go func() { disk <- fromDisk(key) }()
	select {
	case answer := <-cache:
		return answer
	case answer := <-disk:
		return answer
	}
}

// Leak looks three keys up; each time the disk is too late.
func Leak() {
	for _, key := range []string{"a", "b", "c"} {
		lookup(key)
	}
}
