// Goroutines that wait for a channel or a lock which something still holds, each in another way: the
// way to what it waits for is known from here. Prints a line for each: the function that waits, and
// the addresses that the way ends with; then the offset of conn.done.
package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

type conn struct {
	name string
	n    int
	done chan struct{}
}

type hub struct {
	size  int
	mu    sync.Mutex
	peers []*conn
	any   interface{}
	last  [4]*conn
}

type bulk struct { // more than 512 bytes: since Go 1.22 the object itself says what it is
	room [100]int
	done chan struct{}
}

var (
	registry = map[string]*conn{}
	numbers  = map[int]*conn{}
	central  hub
	shared   *hub
	queue    = make(chan *conn, 4)
	make1    func() *conn
	anything interface{}
	method   func()
	fixed    = &hub{size: 3} // the compiler lays it out: its own symbol has no name
)

//go:noinline
func byMap(c *conn) { <-c.done }

//go:noinline
func byLargeMap(c *conn) { <-c.done }

//go:noinline
func bySlice(c *conn) { <-c.done }

//go:noinline
func byInterface(c *conn) { <-c.done }

//go:noinline
func byArray(c *conn) { <-c.done }

//go:noinline
func byQueue(c *conn) { <-c.done }

//go:noinline
func byClosure(c *conn) { <-c.done }

//go:noinline
func byMethod(c *conn) { <-c.done }

//go:noinline
func (c *conn) hangUp() { c.n++ }

//go:noinline
func byLiteral(c *conn) { <-c.done }

//go:noinline
func byLiteralLock() { fixed.mu.Lock() }

//go:noinline
func byRunning(c *conn) { <-c.done }

// Runs, and alone has what byRunning waits for.
//
//go:noinline
func spin(c *conn) {
	for {
		c.n++
	}
}

//go:noinline
func byStack(c *conn) { <-c.done }

//go:noinline
func byTimer(ctx context.Context) { <-ctx.Done() }

//go:noinline
func byWaiter(c *conn, other *conn) {
	<-other.done
	<-c.done
}

//go:noinline
func byBulk(b *bulk) { <-b.done }

//go:noinline
func byGlobalLock() { central.mu.Lock() }

//go:noinline
func byHeapLock(h *hub) { h.mu.Lock() }

func dial(name string) *conn {
	return &conn{name: name, done: make(chan struct{})}
}

func tell(role string, addresses ...interface{}) {
	fmt.Print(role)
	for _, address := range addresses {
		fmt.Printf(" %p", address)
	}
	fmt.Println()
}

func start(role string, wait func(*conn)) *conn {
	c := dial(role)
	tell(role, c, c.done)
	go wait(c)
	return c
}

func main() {
	runtime.GOMAXPROCS(2)
	registry["10.0.0.7"] = start("byMap", byMap)
	for i := 0; i < 200; i++ {
		numbers[i] = nil
	}
	numbers[42] = start("byLargeMap", byLargeMap)
	central.peers = []*conn{nil, nil, start("bySlice", bySlice)}
	central.any = start("byInterface", byInterface)
	central.last[3] = start("byArray", byArray)
	queue <- nil
	queue <- start("byQueue", byQueue)
	captured := start("byClosure", byClosure)
	make1 = func() *conn { return captured }
	method = start("byMethod", byMethod).hangUp
	fixed.last[1] = start("byLiteral", byLiteral)
	fixed.mu.Lock()
	tell("byLiteralLock", &fixed.mu)
	go byLiteralLock()
	go spin(start("byRunning", byRunning))
	kept := start("byStack", byStack)
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
	tell("byTimer", ctx.Done())
	go byTimer(ctx)
	first, second := dial("first"), dial("second")
	tell("byWaiter", second, second.done)
	go byWaiter(second, first)
	go byMapOf(second)
	large := &bulk{done: make(chan struct{})}
	anything = large
	tell("byBulk", large, large.done)
	go byBulk(large)
	central.mu.Lock()
	tell("byGlobalLock", &central.mu)
	go byGlobalLock()
	shared = &hub{size: len(os.Args)}
	shared.mu.Lock()
	tell("byHeapLock", shared, &shared.mu)
	go byHeapLock(shared)
	fmt.Println("offset", unsafe.Offsetof(kept.done), unsafe.Offsetof(central.mu), unsafe.Offsetof(large.done))
	registry["first"] = first
	time.Sleep(200 * time.Millisecond)
	if len(os.Args) > 1 { // to be looked at alive
		fmt.Println("ready")
		time.Sleep(time.Hour)
	}
	syscall.Kill(os.Getpid(), syscall.SIGABRT)
	time.Sleep(time.Hour)
	runtime.KeepAlive(kept)
	cancel()
}

// Waits for second, which only byWaiter's stack holds as well.
//
//go:noinline
func byMapOf(c *conn) { <-c.done }
