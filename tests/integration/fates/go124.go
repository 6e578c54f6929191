//go:build go1.24

package main

import (
	"math/rand"
	"runtime"
	"time"
	"weak"
)

func init() {
	actors = append(actors,
		func(r *rand.Rand, p parcel) { // runs once the object is lost
			runtime.AddCleanup(&large{}, parcel.deliver, p)
		},
		func(r *rand.Rand, p parcel) {
			runtime.AddCleanup(&node{x: &huge{}}, func(int) { p.deliver() }, 1)
			runtime.AddCleanup(new(small), func(*int) {}, new(int))
		},
		func(r *rand.Rand, p parcel) { // of an object without pointers
			runtime.AddCleanup(new([24]byte), func(p *parcel) { p.deliver() }, &p)
		},
		func(r *rand.Rand, p parcel) { // held by who waits, found by a weak pointer
			if asks { // Go 1.27 takes what only weak pointers find for leaked, and dies when it moves
				registry = append(registry, p)
				return
			}
			held := &p
			found := weak.Make(held)
			c := make(chan int)
			begin("moves", "receive by weak pointer", func() {
				me := id()
				<-c
				moved(me)
				runtime.KeepAlive(held)
			})
			q := &parcel{x: c, wake: shut[int]}
			w := weak.Make(q)
			begin("moves", "holds what is weakly known", func() {
				me := id()
				<-c
				moved(me)
				runtime.KeepAlive(q)
			})
			time.AfterFunc(later(), func() {
				if p := found.Value(); p != nil {
					p.deliver()
				}
				if q := w.Value(); q != nil {
					q.deliver()
				}
			})
		},
		func(r *rand.Rand, p parcel) { // a weak pointer in a global map
			if asks {
				registry = append(registry, p)
				return
			}
			held := &small{x: p}
			w := weak.Make(held)
			functions = append(functions, func() {
				if s := w.Value(); s != nil {
					s.x.(parcel).deliver()
				}
			})
			c := make(chan int)
			begin("any", "its own channel", func() { <-c; runtime.KeepAlive(held) })
		},
	)
}
