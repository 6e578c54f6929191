// Fates starts goroutines that wait, each labelled by what it is certain to become, and then dies,
// or shows it.
//
//	fates SEED COUNT         panics: the core is to be looked at
//	fates SEED COUNT DELAY   prints "ready", acts from DELAY after its start on, prints "moved ID"
//	                         for each goroutine that runs again, "end" after another second
//	fates SEED COUNT DELAY churn
//	                         the same, but what can act does so all the time, and more is made until
//	                         DELAY is over
//
// fate=moves: something that can still act holds what it waits for, through a random chain of
// objects and of other waiting goroutines. fate=lost: nothing does. fate=any: left open.
//
// What a goroutine waits for travels as a parcel: an object, wrapped into others, and how to get
// it out and end the wait. The ways to wait are in waits.go, to wrap in wraps.go, to hold a parcel
// while one waits oneself in holds.go, to act later in actors.go; newer versions of Go add theirs.
package main

import (
	"bytes"
	"context"
	"io"
	"math/rand"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"runtime/trace"
	"strconv"
	"sync"
	"time"
)

type parcel struct {
	x    any
	open []func(any) any // the innermost wrap first; these hold nothing
	wake func(any)       // likewise
}

func (p parcel) deliver() {
	x := p.x
	for i := len(p.open) - 1; i >= 0; i-- {
		x = p.open[i](x)
	}
	p.wake(x)
}

var (
	started = time.Now()
	delay   = time.Hour
	live    bool
	churns  bool
	asks    bool // Go's own detector, where there is one
	output  sync.Mutex
	end     string // by whom the chain that is being made will be set in motion: a source line
)

// later is when actors act.
func later() time.Duration {
	if churns {
		return time.Duration(1 + rand.Intn(20e6))
	}
	if left := delay - time.Since(started); left > 0 {
		return left
	}
	return time.Millisecond
}

func isLater() bool { return time.Since(started) > delay }

func id() string {
	var b [64]byte
	return string(bytes.Fields(b[:runtime.Stack(b[:], false)])[1])
}

func moved(id string) {
	if live {
		output.Lock()
		os.Stdout.WriteString("moved " + id + "\n")
		output.Unlock()
	}
}

// help starts a goroutine that certainly ends when the one that calls it goes on.
func help(f func()) {
	go func() {
		me := id()
		f()
		moved(me)
	}()
}

// begin starts a labelled goroutine.
func begin(fate, kind string, f func()) {
	go pprof.Do(context.Background(), pprof.Labels("fate", fate, "kind", kind, "end", end),
		func(context.Context) { f() })
}

// wait starts a goroutine that waits and holds p meanwhile, if any, to deliver it then.
func wait(r *rand.Rand, fate string, w waiting, p *parcel) {
	block := w.block
	if p == nil {
		begin(fate, w.kind, func() {
			me := id()
			block()
			moved(me)
		})
		return
	}
	i := r.Intn(len(holds))
	held := *p
	kind := w.kind + " holds " + holds[i].kind
	hold := holds[i].hold
	begin(fate, kind, func() {
		me := id()
		hold(func() { block(); moved(me) }, held)
	})
}

func wrapped(r *rand.Rand, p parcel) parcel {
	for n := r.Intn(5); n >= 0; n-- {
		x, open := wraps[r.Intn(len(wraps))](r, p.x)
		p = parcel{x, append(p.open[:len(p.open):len(p.open)], open), p.wake}
	}
	return p
}

func gadget(r *rand.Rand) {
	fate, actor := "lost", actors[r.Intn(len(actors))]
	end = ""
	if r.Intn(2) == 0 || churns && r.Intn(8) != 0 {
		fate = "moves"
		at := runtime.FuncForPC(reflect.ValueOf(actor).Pointer())
		file, line := at.FileLine(at.Entry())
		end = filepath.Base(file) + ":" + strconv.Itoa(line)
	}
	w := waits[r.Intn(len(waits))](r, fate)
	wait(r, fate, w, nil)
	p := wrapped(r, parcel{x: w.object, wake: w.wake})
	for n := r.Intn(4); n > 0; n-- {
		w := waits[r.Intn(len(waits))](r, fate)
		wait(r, fate, w, &p)
		p = wrapped(r, parcel{x: w.object, wake: w.wake})
	}
	if fate == "moves" {
		actor(r, p)
	} else if r.Intn(4) == 0 {
		abandon(r, p)
	}
}

// abandon lets only what never runs again hold p.
func abandon(r *rand.Rand, p parcel) {
	w := waiting{kind: "nil channel", block: func() { <-(chan int)(nil) }}
	switch r.Intn(5) {
	case 3: // in a circle: it never runs
		s := &small{}
		s.x = &pair[*small, parcel]{s, p}
		runtime.SetFinalizer(s, func(s *small) { s.x.(*pair[*small, parcel]).value.deliver() })
		return
	case 4: // likewise
		s := new(small)
		runtime.SetFinalizer(s, func(*small) { runtime.KeepAlive(s); p.deliver() })
		return
	case 1:
		w = waiting{kind: "empty select", block: func() { select {} }}
	case 2:
		c := make(chan parcel)
		w = waiting{kind: "its own channel", block: func() { <-c }}
	}
	wait(r, "lost", w, &p)
}

//go:noinline
func wipe(n int) int {
	var a [4096]int
	for i := range a {
		a[i] = n
	}
	return a[n%len(a)]
}

// disturbances have the runtime do what it does not do every day.
var disturbances = []func(r *rand.Rand){
	func(*rand.Rand) { runtime.GC() },
	func(*rand.Rand) { runtime.GC() },
	func(*rand.Rand) {
		if p := pprof.Lookup("goroutineleak"); p != nil && asks {
			p.WriteTo(io.Discard, 0) // Go's own detector has a collection of its own
		}
	},
	func(*rand.Rand) { pprof.Lookup("goroutine").WriteTo(io.Discard, 0) },
	func(*rand.Rand) { runtime.Stack(make([]byte, 1<<20), true) },
	func(*rand.Rand) { runtime.ReadMemStats(new(runtime.MemStats)) },
	func(*rand.Rand) { debug.FreeOSMemory() },
	func(r *rand.Rand) { runtime.GOMAXPROCS(1 + r.Intn(4)) }, // timers go from one to another
	func(*rand.Rand) {
		if pprof.StartCPUProfile(io.Discard) == nil { // signals all the time
			time.AfterFunc(later(), pprof.StopCPUProfile)
		}
	},
	func(*rand.Rand) {
		if trace.Start(io.Discard) == nil {
			time.AfterFunc(later(), trace.Stop)
		}
	},
	func(*rand.Rand) {
		if asks { // Go 1.27 cannot dump what its detector has marked
			return
		}
		if null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0); err == nil {
			debug.WriteHeapDump(null.Fd())
			null.Close()
		}
	},
	func(r *rand.Rand) { // threads that end
		go func() { runtime.LockOSThread(); wipe(1) }()
	},
}

// churn makes goroutines and has the collector run while others end.
func churn(r *rand.Rand, most int) {
	for !isLater() {
		if runtime.NumGoroutine() < most {
			gadget(r)
		}
		switch r.Intn(16) {
		case 0, 1:
			disturbances[r.Intn(len(disturbances))](r)
		case 2, 3:
			time.Sleep(time.Duration(r.Intn(1e6)))
		case 4:
			for _, f := range deliveries() {
				go f()
			}
		}
	}
}

func spin(seed int64) {
	for j := seed; !isLater(); j++ {
		r := rand.New(rand.NewSource(j))
		wrapped(r, parcel{x: j})
	}
}

func main() {
	seed, _ := strconv.ParseInt(os.Args[1], 10, 64)
	count, _ := strconv.Atoi(os.Args[2])
	if len(os.Args) > 3 {
		delay, _ = time.ParseDuration(os.Args[3])
		live = true
		churns = len(os.Args) > 4
		asks = churns && seed/2%2 == 0
	}
	r := rand.New(rand.NewSource(seed))
	for _, f := range prepare {
		f()
	}
	for i := 0; i < count; i++ {
		gadget(r)
		if r.Intn(20) == 0 {
			runtime.GC()
		}
	}
	wipe(1)
	time.Sleep(50 * time.Millisecond)
	if r.Intn(2) == 0 {
		runtime.GC()
	}
	for i := r.Intn(3); i > 0; i-- {
		go spin(int64(i))
	}
	time.Sleep(10 * time.Millisecond)
	if live {
		os.Stdout.WriteString("ready\n")
		if churns {
			churn(r, 50*count)
		}
		time.Sleep(later())
		act()
		os.Stdout.WriteString("end\n")
		return
	}
	for i := r.Intn(4); i > 0; i-- {
		w := waits[r.Intn(len(waits))](r, "moves")
		wait(r, "moves", w, nil)
		go wrapped(r, parcel{x: w.object, wake: w.wake}).deliver()
	}
	debug.SetTraceback("crash")
	panic("enough")
}
