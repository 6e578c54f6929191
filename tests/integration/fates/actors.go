package main

import (
	"context"
	"io"
	"math/rand"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

var (
	registry  []parcel // globals of all kinds, delivered by act
	plain     map[int]*parcel
	word      atomic.Value
	table     [8]*parcel
	inner     struct{ deep struct{ list *node } }
	functions []func()
	callbacks sync.Map
	mutex     sync.Mutex
	changed   = sync.NewCond(&mutex)
	acted     bool
	closing   = make(chan struct{})
	signals   = make(chan os.Signal, 1)
)

var prepare = []func(){
	func() { plain = map[int]*parcel{} },
	func() { signal.Notify(signals, syscall.SIGUSR2) },
}

// deliveries empties the globals that can be filled again, and gives what was in them.
func deliveries() (all []func()) {
	for _, p := range registry {
		all = append(all, p.deliver)
	}
	for _, p := range plain {
		all = append(all, p.deliver)
	}
	for _, p := range table {
		if p != nil {
			all = append(all, p.deliver)
		}
	}
	for at := inner.deep.list; at != nil; at = at.next {
		all = append(all, at.x.(parcel).deliver)
	}
	all = append(all, functions...)
	callbacks.Range(func(key, f any) bool {
		all = append(all, f.(func()))
		callbacks.Delete(key)
		return true
	})
	registry, plain, table, functions = nil, map[int]*parcel{}, [8]*parcel{}, nil
	inner.deep.list = nil
	return all
}

// act does with the globals what their owners would do some time.
func act() {
	for _, f := range deliveries() {
		f()
	}
	if p, ok := word.Load().(*parcel); ok {
		p.deliver()
	}
	mutex.Lock()
	acted = true
	changed.Broadcast()
	mutex.Unlock()
	close(closing)
	syscall.Kill(os.Getpid(), syscall.SIGUSR2)
	for i := 0; i < 5; i++ {
		runtime.GC() // for what happens to lost objects
		time.Sleep(100 * time.Millisecond)
	}
}

// actor starts a goroutine that delivers p once block ends, which something outside sees to.
func actor(r *rand.Rand, kind string, block func(), p parcel) {
	wait(r, "moves", waiting{kind: kind, block: block}, &p)
}

// actors give p to something that can act.
var actors = []func(r *rand.Rand, p parcel){
	func(r *rand.Rand, p parcel) { registry = append(registry, p) },
	func(r *rand.Rand, p parcel) { plain[len(plain)] = &p },
	func(r *rand.Rand, p parcel) { functions = append(functions, p.deliver) },
	func(r *rand.Rand, p parcel) { functions = append(functions, func() { p.deliver() }) },
	func(r *rand.Rand, p parcel) { inner.deep.list = &node{p, inner.deep.list} },
	func(r *rand.Rand, p parcel) {
		if i := r.Intn(8); table[i] == nil {
			table[i] = &p
			return
		}
		registry = append(registry, p)
	},
	func(r *rand.Rand, p parcel) {
		if word.Load() == nil {
			word.Store(&p)
			return
		}
		registry = append(registry, p)
	},
	func(r *rand.Rand, p parcel) { callbacks.Store(r.Int(), p.deliver) },
	func(r *rand.Rand, p parcel) {
		f := func() { p.deliver() }
		forkers = append(forkers, f)
		functions = append(functions, func() { forkers[0]() })
		if len(forkers) > 1 { // only the first is called by another
			functions[len(functions)-1] = f
		}
	},
	func(r *rand.Rand, p parcel) {
		actor(r, "sleep", func() { time.Sleep(later()) }, p)
	},
	func(r *rand.Rand, p parcel) { time.AfterFunc(later(), p.deliver) },
	func(r *rand.Rand, p parcel) { time.AfterFunc(later(), func() { p.deliver() }) },
	func(r *rand.Rand, p parcel) {
		actor(r, "time.After", func() { <-time.After(later()) }, p)
	},
	func(r *rand.Rand, p parcel) {
		actor(r, "select with time.After", func() {
			select {
			case <-time.After(later()):
			case <-make(chan int):
			}
		}, p)
	},
	func(r *rand.Rand, p parcel) {
		actor(r, "ticker", func() {
			t := time.NewTicker(later())
			defer t.Stop()
			<-t.C
		}, p)
	},
	func(r *rand.Rand, p parcel) {
		actor(r, "reset timer", func() {
			t := time.NewTimer(time.Hour * 30)
			t.Reset(later())
			<-t.C
		}, p)
	},
	func(r *rand.Rand, p parcel) {
		ctx, cancel := context.WithTimeout(context.Background(), later())
		actor(r, "timeout", func() { <-ctx.Done(); cancel() }, p)
	},
	func(r *rand.Rand, p parcel) {
		above, cancel := context.WithTimeout(context.Background(), later())
		ctx, other := context.WithCancel(context.WithValue(above, &end, above))
		actor(r, "timeout above", func() {
			select {
			case <-ctx.Done():
			case <-make(chan int):
			}
			cancel()
			other()
		}, p)
	},
	func(r *rand.Rand, p parcel) {
		actor(r, "global channel", func() { <-closing }, p)
	},
	func(r *rand.Rand, p parcel) {
		actor(r, "global condition", func() {
			mutex.Lock()
			for !acted {
				changed.Wait()
			}
			mutex.Unlock()
		}, p)
	},
	func(r *rand.Rand, p parcel) {
		in, out, err := os.Pipe()
		if err != nil {
			registry = append(registry, p)
			return
		}
		time.AfterFunc(later(), func() { out.Close() })
		actor(r, "pipe", func() { in.Read(make([]byte, 1)) }, p)
	},
	func(r *rand.Rand, p parcel) { // a system call that blocks its thread
		var two [2]int
		if pipes.Add(1) > 20 || syscall.Pipe(two[:]) != nil {
			registry = append(registry, p)
			return
		}
		time.AfterFunc(later(), func() { syscall.Close(two[1]) })
		actor(r, "system call", func() { syscall.Read(two[0], make([]byte, 1)) }, p)
	},
	func(r *rand.Rand, p parcel) {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			registry = append(registry, p)
			return
		}
		switch r.Intn(3) {
		case 0:
			listener.(*net.TCPListener).SetDeadline(time.Now().Add(later()))
		case 1:
			time.AfterFunc(later(), func() { net.Dial("tcp", listener.Addr().String()) })
		default:
			time.AfterFunc(later(), func() { listener.Close() })
		}
		actor(r, "accept", func() { listener.Accept() }, p)
	},
	func(r *rand.Rand, p parcel) {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			registry = append(registry, p)
			return
		}
		connection, err := net.Dial("tcp", listener.Addr().String())
		if err != nil {
			registry = append(registry, p)
			return
		}
		connection.SetReadDeadline(time.Now().Add(later()))
		actor(r, "connection", func() { io.Copy(io.Discard, connection); listener.Close() }, p)
	},
	func(r *rand.Rand, p parcel) { // a child
		if pipes.Add(1) > 20 || r.Intn(4) != 0 {
			registry = append(registry, p)
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), later())
		command := exec.CommandContext(ctx, "sleep", "30")
		if !live {
			command = exec.CommandContext(ctx, "sleep", "1")
		}
		if r.Intn(2) == 0 {
			command.Stdout = new(writer)
		}
		if command.Start() != nil {
			cancel()
			registry = append(registry, p)
			return
		}
		actor(r, "child", func() { command.Wait(); cancel() }, p)
	},
	func(r *rand.Rand, p parcel) {
		if pipes.Add(1) > 1000 {
			return
		}
		functions = append(functions, func() { signals <- syscall.SIGUSR2 })
		actor(r, "signal", func() { <-signals }, p)
	},
	func(r *rand.Rand, p parcel) { // runs, and never stops
		if pipes.Add(6) > 30 {
			registry = append(registry, p)
			return
		}
		actor(r, "running", func() {
			for n := 0; !isLater(); n++ {
				if n%1000 == 0 {
					time.Sleep(10 * time.Microsecond)
				}
			}
		}, p)
	},
	func(r *rand.Rand, p parcel) { // runs without a safe point of its own
		if pipes.Add(6) > 30 {
			registry = append(registry, p)
			return
		}
		actor(r, "tight loop", func() {
			for !isLater() {
				for i := 0; i < 1e6; i++ {
				}
				time.Sleep(20 * time.Millisecond)
			}
		}, p)
	},
	func(r *rand.Rand, p parcel) {
		actor(r, "runnable", func() {
			for !isLater() {
				time.Sleep(time.Millisecond)
			}
		}, p)
	},
	func(r *rand.Rand, p parcel) { // runs, and holds it in variables that no call sees
		if pipes.Add(6) > 30 {
			registry = append(registry, p)
			return
		}
		begin("moves", "busy", func() {
			me, q, list := id(), byResult(p), (*node)(nil)
			p = parcel{}
			for n := 0; !isLater(); n++ {
				room := scratch[n%2]
				list = &node{x: n, next: list}
				if q = byResult(q); n%100 == 0 {
					list = nil
					time.Sleep(10 * time.Microsecond)
				}
				scratch[(n+1)%2] = room
			}
			moved(me)
			q.deliver()
		})
	},
	func(r *rand.Rand, p parcel) { // looks again and again
		c := make(chan parcel, 1)
		c <- p
		begin("moves", "poll", func() {
			me, stop := id(), make(chan int)
			for !isLater() {
				select {
				case <-stop:
				default:
				}
				time.Sleep(time.Millisecond)
			}
			moved(me)
			(<-c).deliver()
		})
	},
	func(r *rand.Rand, p parcel) {
		actor(r, "time.Tick", func() {
			for range time.Tick(later()) {
				break
			}
		}, p)
	},
	func(r *rand.Rand, p parcel) { // runs once the object is lost
		s := &small{x: p}
		runtime.SetFinalizer(s, func(s *small) { s.x.(parcel).deliver() })
	},
	func(r *rand.Rand, p parcel) {
		runtime.SetFinalizer(&huge{}, func(*huge) { p.deliver() })
	},
	func(r *rand.Rand, p parcel) { // lost one after the other
		s := &small{x: p}
		runtime.SetFinalizer(s, func(s *small) { s.x.(parcel).deliver() })
		runtime.SetFinalizer(&large{x: [7]any{s}}, func(*large) {})
	},
	func(r *rand.Rand, p parcel) { // held by a global while its finalizer waits
		s := &small{x: 1}
		runtime.SetFinalizer(s, func(*small) { p.deliver() })
		functions = append(functions, func() { runtime.KeepAlive(s); s = nil })
	},
	func(r *rand.Rand, p parcel) {
		out := &closer{p}
		in, other := io.Pipe()
		go func() { time.Sleep(later()); other.CloseWithError(io.EOF) }()
		go func() { defer out.Close(); io.Copy(io.Discard, in) }()
	},
	func(r *rand.Rand, p parcel) {
		actor(r, "lock of a sleeper", func() {
			var m sync.Mutex
			m.Lock()
			help(func() { time.Sleep(later()); m.Unlock() })
			m.Lock()
		}, p)
	},
	func(r *rand.Rand, p parcel) { // a server of requests
		requests := make(chan chan parcel)
		go func() {
			for reply := range requests {
				reply <- p
			}
		}()
		time.AfterFunc(later(), func() {
			reply := make(chan parcel)
			requests <- reply
			(<-reply).deliver()
			close(requests)
		})
	},
	func(r *rand.Rand, p parcel) { // the only holder waits for what a timer does
		c := make(chan parcel)
		begin("moves", "in flight to a sleeper", func() {
			me := id()
			c <- p
			moved(me)
		})
		time.AfterFunc(later(), func() { (<-c).deliver() })
	},
	func(r *rand.Rand, p parcel) {
		c, d := make(chan parcel), make(chan int)
		begin("moves", "in flight in a select to a sleeper", func() {
			me := id()
			select {
			case d <- 1:
			case c <- p:
			}
			moved(me)
		})
		time.AfterFunc(later(), func() { (<-c).deliver() })
	},
	func(r *rand.Rand, p parcel) {
		b := newBell(new(sync.Mutex))
		if r.Intn(2) == 0 {
			time.AfterFunc(later(), func() { b.ring(); b.Broadcast() })
			actor(r, "condition of a timer", b.wait, p)
			return
		}
		actor(r, "condition of a timer's method", func() {
			b.L.Lock()
			time.AfterFunc(later(), b.shout)
			b.Wait()
			b.L.Unlock()
		}, p)
	},
	func(r *rand.Rand, p parcel) {
		in, out := net.Pipe()
		in.SetReadDeadline(time.Now().Add(later()))
		actor(r, "net.Pipe with a deadline", func() { in.Read(make([]byte, 9)); out.Close() }, p)
	},
	func(r *rand.Rand, p parcel) { // put off, as by a heartbeat
		t := time.AfterFunc(30*time.Hour, p.deliver)
		go func() {
			for i := 0; i < 3; i++ {
				time.Sleep(time.Millisecond)
				t.Reset(20 * time.Hour)
			}
			t.Reset(later())
		}()
	},
	func(r *rand.Rand, p parcel) {
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGUSR2)
		actor(r, "signal.NotifyContext", func() { <-ctx.Done(); stop() }, p)
	},
	func(r *rand.Rand, p parcel) { // until its reader comes
		in, out, err := os.Pipe()
		if err != nil {
			registry = append(registry, p)
			return
		}
		time.AfterFunc(later(), func() { io.Copy(io.Discard, in) })
		actor(r, "write to a pipe", func() { out.Write(make([]byte, 1<<17)); out.Close() }, p)
	},
	func(r *rand.Rand, p parcel) { // a server that takes its time
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if pipes.Add(3) > 30 || err != nil {
			registry = append(registry, p)
			return
		}
		when := later()
		server := &http.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, q *http.Request) {
			select {
			case <-q.Context().Done():
			case <-time.After(when):
			}
		})}
		go server.Serve(listener)
		actor(r, "http", func() {
			http.Get("http://" + listener.Addr().String())
			server.Close()
		}, p)
	},
}

type closer struct{ p parcel }

func (c *closer) Close() error { c.p.deliver(); return nil }

var (
	scratch [2][60]int
	forkers []func()
	pipes   atomic.Int64
)
