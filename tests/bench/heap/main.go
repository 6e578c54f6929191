// Heap fills as many GB as the first argument says with small objects that point at each other
// (lists, trees, maps, of 32 to 128 bytes), parks a few leaked goroutines, and dies with a core;
// with a second argument it collects instead, three times: GODEBUG=gctrace=1 tells how long that took.
package main

import (
	"math/rand"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"time"
)

type link struct {
	next  *link
	other *link
	value [2]uint64
}

type leaf struct {
	left, right, up *leaf
	key             uint64
	value           [4]uint64
}

type item struct {
	name  *string
	parts [4]*item
	owner *link
	value [10]uint64
}

type world struct {
	lists []*link
	trees []*leaf
	maps  []map[uint64]*item
}

var all world

func list(r *rand.Rand, count int) *link {
	var head *link
	for i := 0; i < count; i++ {
		head = &link{next: head, value: [2]uint64{uint64(i), 1}}
		if len(all.lists) > 0 && i%8 == 0 {
			head.other = all.lists[r.Intn(len(all.lists))]
		}
	}
	return head
}

func insert(root *leaf, key uint64) *leaf {
	at, up := &root, (*leaf)(nil)
	for *at != nil {
		up = *at
		if key < up.key {
			at = &up.left
		} else {
			at = &up.right
		}
	}
	*at = &leaf{up: up, key: key}
	return root
}

func tree(r *rand.Rand, count int) *leaf {
	var root *leaf
	for i := 0; i < count; i++ {
		root = insert(root, r.Uint64())
	}
	return root
}

func table(r *rand.Rand, count int) map[uint64]*item {
	made := make([]*item, 0, count)
	items := make(map[uint64]*item, count)
	for i := 0; i < count; i++ {
		name := strconv.Itoa(i)
		one := &item{name: &name, owner: all.lists[r.Intn(len(all.lists))]}
		for j := range one.parts {
			if len(made) > 0 {
				one.parts[j] = made[r.Intn(len(made))]
			}
		}
		made = append(made, one)
		items[r.Uint64()] = one
	}
	return items
}

// Each round adds about 1 MB in each shape.
func fill(size uint64) {
	r := rand.New(rand.NewSource(1))
	var now runtime.MemStats
	for now.HeapAlloc < size {
		for i := 0; i < 16; i++ {
			for j := 0; j < 32; j++ {
				all.lists = append(all.lists, list(r, 1000))
			}
			all.trees = append(all.trees, tree(r, 16000))
			all.maps = append(all.maps, table(r, 6000))
		}
		runtime.ReadMemStats(&now)
	}
}

//go:noinline
func leak() {
	for i := 0; i < 100; i++ {
		c := make(chan *link)
		go func() { c <- all.lists[0] }()
	}
}

func main() {
	gigabytes, err := strconv.ParseFloat(os.Args[1], 64)
	if err != nil {
		panic(err)
	}
	debug.SetGCPercent(-1)
	fill(uint64(gigabytes * (1 << 30)))
	leak()
	time.Sleep(100 * time.Millisecond)
	if len(os.Args) > 2 {
		for i := 0; i < 3; i++ {
			runtime.GC()
		}
		return
	}
	runtime.GC()
	panic("dies with a core")
}
