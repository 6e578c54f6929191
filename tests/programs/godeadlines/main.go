// Many goroutines in each place that wait for a context or channel: those that a timer will end, and
// those that none will. Everything is held by globals, so that nothing is proved.
package main

import (
	"context"
	"os"
	"runtime"
	"strconv"
	"syscall"
	"time"
)

var (
	kept    []context.Context
	cancels []context.CancelFunc
	closed  []chan struct{}
	timers  []*time.Timer
)

type key struct{}

// What a timer will end.

//go:noinline
func deadline(ctx context.Context) { <-ctx.Done() }

//go:noinline
func deadlineInSelect(ctx context.Context, more chan int) {
	select {
	case <-ctx.Done():
	case <-more:
	}
}

//go:noinline
func childOfDeadline(ctx context.Context) { <-ctx.Done() }

//go:noinline
func grandchildOfDeadline(ctx context.Context) { <-ctx.Done() }

//go:noinline
func valueOfDeadline(ctx context.Context) { <-ctx.Done() }

//go:noinline
func closedByTimer(done chan struct{}) { <-done }

// What none will.

//go:noinline
func cancelled(ctx context.Context) { <-ctx.Done() }

//go:noinline
func parentOfDeadline(ctx context.Context) { <-ctx.Done() }

//go:noinline
func stoppedTimer(done chan struct{}) { <-done }

//go:noinline
func reachedByTimer(s *server) { <-s.quit }

type server struct{ quit chan struct{} }

func (s *server) tick() {}

var forever = make(chan int)

func keep(ctx context.Context, cancel context.CancelFunc) context.Context {
	kept = append(kept, ctx)
	cancels = append(cancels, cancel)
	return ctx
}

func one(parent context.Context) {
	limited := keep(context.WithTimeout(parent, time.Hour))
	child := keep(context.WithCancel(limited))
	go deadline(limited)
	go deadlineInSelect(limited, forever)
	go childOfDeadline(child)
	go grandchildOfDeadline(keep(context.WithCancel(context.WithValue(child, key{}, 1))))
	go valueOfDeadline(context.WithValue(limited, key{}, 2))
	go parentOfDeadline(parent)
	go cancelled(keep(context.WithCancel(context.Background())))

	done := make(chan struct{})
	timers = append(timers, time.AfterFunc(time.Hour, func() { close(done) }))
	closed = append(closed, done)
	go closedByTimer(done)
	never := make(chan struct{})
	stopped := time.AfterFunc(time.Hour, func() { close(never) })
	timers = append(timers, stopped)
	stopped.Stop()
	closed = append(closed, never)
	go stoppedTimer(never)
	s := &server{make(chan struct{})}
	timers = append(timers, time.AfterFunc(time.Hour, s.tick))
	closed = append(closed, s.quit)
	go reachedByTimer(s)
}

func main() {
	runtime.GOMAXPROCS(2)
	count, _ := strconv.Atoi(os.Args[1])
	parent := keep(context.WithCancel(context.Background()))
	for i := 0; i < count; i++ {
		one(parent)
	}
	// Children of one context: a map of many tables.
	wide := keep(context.WithTimeout(context.Background(), time.Hour))
	for i := 0; i < count; i++ {
		go wideChild(keep(context.WithCancel(wide)))
	}
	time.Sleep(500 * time.Millisecond)
	syscall.Kill(os.Getpid(), syscall.SIGABRT)
	time.Sleep(time.Hour)
}

//go:noinline
func wideChild(ctx context.Context) { <-ctx.Done() }
