// Retained leaks groups of goroutines that hold memory of many shapes. Then, one group after the
// other, it lets them go and collects, and prints how much of the heap that freed:
//
//	retained SEED      prints "ready" and waits for a line; when that is "go", prints
//	                   "freed FUNCTION BYTES" for each group, else it collects and is ready again
//
// The channels by which it lets them go are kept as integers, so that the goroutines are leaked.
package main

import (
	"bufio"
	"fmt"
	"math/rand"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"time"
	"unsafe"
)

type node struct {
	left, right *node
	text        string
	n           [3]int
}

func tree(r *rand.Rand, n int) *node {
	if n == 0 {
		return nil
	}
	k := r.Intn(n)
	return &node{tree(r, k), tree(r, n-1-k), strings.Repeat("t", r.Intn(40)), [3]int{}}
}

var shared []byte // what live code holds too

type hidden uintptr // a channel, as an integer

func hide(c chan bool) hidden    { return hidden(*(*uintptr)(unsafe.Pointer(&c))) }
func (h hidden) open() chan bool { return *(*chan bool)(unsafe.Pointer(&h)) }

//go:noinline
func slices(c chan bool, r *rand.Rand) {
	x := make([]byte, 100_000+r.Intn(100_000))
	y := make([]*int, 5000)
	for i := range y {
		y[i] = new(int)
	}
	<-c
	runtime.KeepAlive(x)
	runtime.KeepAlive(y)
}

//go:noinline
func maps(c chan bool, r *rand.Rand) {
	m := map[string][]int{}
	for i := r.Intn(3000); i >= 0; i-- {
		m[strconv.Itoa(i)] = make([]int, i%50)
	}
	n := map[int]int{}
	for i := r.Intn(9000); i >= 0; i-- {
		n[i] = i
	}
	<-c
	runtime.KeepAlive(m)
	runtime.KeepAlive(n)
}

//go:noinline
func trees(c chan bool, r *rand.Rand) {
	t := tree(r, 2000+r.Intn(5000))
	<-c
	runtime.KeepAlive(t)
}

//go:noinline
func texts(c chan bool, r *rand.Rand) {
	var s []string
	for i := 0; i < 2000; i++ {
		s = append(s, strings.Repeat("x", r.Intn(200)))
	}
	<-c
	runtime.KeepAlive(s)
}

//go:noinline
func boxes(c chan bool, r *rand.Rand) {
	var s []any
	for i := 0; i < 3000; i++ {
		switch r.Intn(4) {
		case 0:
			s = append(s, [5]int{i})
		case 1:
			s = append(s, fmt.Sprint(i))
		case 2:
			s = append(s, func() int { return i + len(s) })
		default:
			s = append(s, &s)
		}
	}
	<-c
	runtime.KeepAlive(s)
}

//go:noinline
func huge(c chan bool, r *rand.Rand) {
	x := new([1 << 21]*int)
	x[5] = new(int)
	y := make([]float64, 1<<18)
	<-c
	runtime.KeepAlive(x)
	runtime.KeepAlive(y)
}

//go:noinline
func borrowed(c chan bool, r *rand.Rand) {
	x := shared[1000:]
	y := make([][]byte, 100)
	for i := range y {
		y[i] = shared[i:]
	}
	z := make([]byte, 70_000)
	<-c
	runtime.KeepAlive(x)
	runtime.KeepAlive(y)
	runtime.KeepAlive(z)
}

type both struct {
	c    chan bool
	data *node
}

//go:noinline
func left(b *both) {
	x := make([]byte, 300_000)
	<-b.c
	runtime.KeepAlive(x)
	runtime.KeepAlive(b.data)
}

//go:noinline
func right(b *both) {
	<-b.c
	runtime.KeepAlive(b.data)
}

//go:noinline
func buffered(c chan bool, r *rand.Rand) {
	d := make(chan *node, 50)
	for i := 0; i < 40; i++ {
		d <- tree(r, 30)
	}
	<-c
	runtime.KeepAlive(d)
}

//go:noinline
func locked(c chan bool, r *rand.Rand) {
	defer func(t *node) { runtime.KeepAlive(t) }(tree(r, 1000))
	for i := 0; i < 3; i++ {
		defer func(s []int) { runtime.KeepAlive(s) }(make([]int, 5000))
	}
	<-c
}

//go:noinline
func finalized(c chan bool, r *rand.Rand) {
	type file struct {
		t *node
		_ [200]int
	}
	x := &file{t: tree(r, 500)}
	y := make([]int, 20_000)
	runtime.SetFinalizer(x, func(*file) {})
	<-c
	runtime.KeepAlive(x)
	runtime.KeepAlive(y)
}

type group struct {
	name string
	open []hidden
	done *sync.WaitGroup
}

func start(name string, f func(chan bool, *rand.Rand), seed int64, n int) group {
	g := group{name: name, done: new(sync.WaitGroup)}
	for i := 0; i < n; i++ {
		c := make(chan bool)
		g.open = append(g.open, hide(c))
		run(f, c, rand.New(rand.NewSource(seed+int64(i))))
	}
	return g
}

//go:noinline
func run(f func(chan bool, *rand.Rand), c chan bool, r *rand.Rand) {
	go f(c, r)
}

//go:noinline
func pairs(seed int64, n int) group {
	g := group{name: "left+right"}
	for i := 0; i < n; i++ {
		b := &both{make(chan bool), tree(rand.New(rand.NewSource(seed)), 3000)}
		g.open = append(g.open, hide(b.c))
		go left(b)
		go right(b)
	}
	return g
}

// heap collects and counts what is left, slots as the allocator counts them.
func heap() int64 {
	var m runtime.MemStats
	for i := 0; i < 3; i++ {
		runtime.GC()
		time.Sleep(5 * time.Millisecond) // finalizers
	}
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

//go:noinline
func wipe(n int) (s int) {
	var a [4096]int
	for i := range a {
		a[i] = n
	}
	return a[n]
}

func main() {
	seed, _ := strconv.ParseInt(os.Args[1], 10, 64)
	debug.SetGCPercent(-1) // nothing of what an integer keeps may move on
	shared = make([]byte, 400_000)
	in := bufio.NewReader(os.Stdin)
	groups := []group{
		start("slices", slices, seed, 5), start("maps", maps, seed, 6),
		start("trees", trees, seed, 4), start("texts", texts, seed, 3),
		start("boxes", boxes, seed, 7), start("huge", huge, seed, 1),
		start("borrowed", borrowed, seed, 4), start("buffered", buffered, seed, 9),
		start("locked", locked, seed, 8), start("finalized", finalized, seed, 5),
		pairs(seed, 6),
	}
	time.Sleep(100 * time.Millisecond)
	wipe(1)
	last := heap()
	for line := ""; line != "go\n"; {
		fmt.Println("ready")
		line, _ = in.ReadString('\n')
		last = heap() + int64(wipe(0))
	}
	for i := range groups {
		for _, h := range groups[i].open {
			close(h.open())
		}
		time.Sleep(50 * time.Millisecond)
		now := heap()
		fmt.Println("freed", groups[i].name, last-now)
		last = heap()
	}
	runtime.KeepAlive(shared)
}
