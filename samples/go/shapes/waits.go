package main

import (
	"context"
	"net"
	"os"
	"runtime/pprof"
	"sync"
	"time"
)

// kept holds what must stay reachable.
var kept []interface{}

func keep(things ...interface{}) { kept = append(kept, things...) }

// waits parks a goroutine for every thing that a goroutine can wait for.
func waits() {
	channels()
	selects()
	locks()
	timers()
	descriptors()
	labelled()
}

func channels() {
	empty := make(chan int)
	go receiveUnbuffered(empty)

	sending := make(chan string)
	go sendUnbuffered(sending)
	go sendUnbuffered(sending)

	full := make(chan [3]int, 2)
	full <- [3]int{1}
	full <- [3]int{2}
	go sendFull(full)

	buffered := make(chan byte, 7)
	go receiveBuffered(buffered)

	closed := make(chan int, 4)
	closed <- 1
	close(closed)
	go waitBeside(closed, make(chan int))

	go receiveNil(nil)
	go sendNil(nil)
	keep(empty, sending, full, buffered, closed)
}

func receiveUnbuffered(c chan int)     { <-c }
func sendUnbuffered(c chan string)     { c <- "text" }
func sendFull(c chan [3]int)           { c <- [3]int{3, 3, 3} }
func receiveBuffered(c chan byte)      { <-c }
func receiveNil(c chan int)            { <-c }
func sendNil(c chan int)               { c <- 1 }
func waitBeside(closed, open chan int) { <-closed; <-open; keep(closed) }

func selects() {
	a, b, c := make(chan int), make(chan string), make(chan bool, 3)
	go selectSeveral(a, b, c)
	go selectWithNil(a, nil)
	go selectNothing()
	go selectSameTwice(a)
	keep(a, b, c)
}

func selectSeveral(a chan int, b chan string, c chan bool) {
	select {
	case <-a:
	case b <- "text":
	case <-c:
	case <-time.After(time.Hour):
	}
}

func selectWithNil(a, never chan int) {
	select {
	case <-a:
	case <-never:
	case never <- 1:
	}
}

func selectNothing() { select {} }

func selectSameTwice(a chan int) {
	select {
	case <-a:
	case a <- 1:
	}
}

func locks() {
	var mu sync.Mutex
	mu.Lock()
	go lockMutex(&mu)
	go lockMutex(&mu)

	var rw sync.RWMutex
	rw.RLock()
	go lockWriter(&rw)
	time.Sleep(20 * time.Millisecond)
	go lockReader(&rw)

	var wg sync.WaitGroup
	wg.Add(3)
	go waitGroup(&wg)

	var guard sync.Mutex
	cond := sync.NewCond(&guard)
	go waitCond(cond)
	go waitCond(cond)

	var once sync.Once
	go onceOuter(&once)
	time.Sleep(5 * time.Millisecond)
	go onceOuter(&once)
	keep(&mu, &rw, &wg, cond, &once)
}

func lockMutex(mu *sync.Mutex)     { mu.Lock(); keep(mu) }
func lockWriter(rw *sync.RWMutex)  { rw.Lock(); keep(rw) }
func lockReader(rw *sync.RWMutex)  { rw.RLock(); keep(rw) }
func waitGroup(wg *sync.WaitGroup) { wg.Wait() }
func waitCond(cond *sync.Cond)     { cond.L.Lock(); cond.Wait(); cond.L.Unlock() }
func onceOuter(once *sync.Once)    { once.Do(onceInner) }
func onceInner()                   { <-make(chan int) }

func timers() {
	go sleepLong()
	go receiveTimer(time.NewTimer(2 * time.Hour))
	go receiveTicker(time.NewTicker(3 * time.Hour))
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Hour)
	go contextDone(ctx)
	keep(ctx, cancel)
}

func sleepLong()                   { time.Sleep(time.Hour) }
func receiveTimer(t *time.Timer)   { <-t.C }
func receiveTicker(t *time.Ticker) { <-t.C }
func contextDone(ctx context.Context) {
	<-ctx.Done()
}

func descriptors() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	client, err := net.Dial("tcp", listener.Addr().String())
	check(err)
	server, err := listener.Accept()
	check(err)
	go readNetwork(client, time.Time{})
	go readNetwork(server, time.Now().Add(time.Hour))
	go acceptNetwork(listener)
	reader, writer, err := os.Pipe()
	check(err)
	go readPipe(reader)
	keep(listener, client, server, reader, writer)
}

func readNetwork(conn net.Conn, deadline time.Time) {
	conn.SetReadDeadline(deadline)
	conn.Read(make([]byte, 16))
}

func acceptNetwork(listener net.Listener) { listener.Accept() }
func readPipe(reader *os.File)            { reader.Read(make([]byte, 16)) }

func labelled() {
	labels := pprof.Labels("handler", "/login", "user", "ann \"the first\"")
	go pprof.Do(context.Background(), labels, func(context.Context) {
		<-make(chan int)
	})
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
