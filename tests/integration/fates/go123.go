//go:build go1.23

package main

import (
	"iter"
	"math/rand"
	"unique"
)

func init() {
	holds = append(holds,
		holding{"a coroutine", func(block func(), p parcel) {
			at := &p
			next, stop := iter.Pull(func(yield func(parcel) bool) {
				q := *at
				if yield(parcel{}) {
					yield(q)
				}
			})
			next()
			*at = parcel{}
			block()
			q, _ := next()
			q.deliver()
			stop()
		}},
		holding{"who waits for a coroutine that waits", func(block func(), p parcel) {
			next, stop := iter.Pull(func(yield func(int) bool) { block(); yield(1) })
			next()
			p.deliver()
			stop()
		}},
		holding{"an iteration", func(block func(), p parcel) {
			list := func(yield func(parcel) bool) { defer func() { recover() }(); yield(p) }
			for q := range list {
				block()
				q.deliver()
			}
		}},
	)
	wraps = append(wraps, func(r *rand.Rand, x any) (any, func(any) any) {
		next, stop := iter.Pull(func(yield func(any) bool) {
			y := x
			x = nil
			if yield(1) {
				yield(y)
			}
		})
		next()
		_ = stop
		return next, func(x any) any { x, _ = x.(func() (any, bool))(); return x }
	}, func(r *rand.Rand, x any) (any, func(any) any) {
		h := unique.Make(pair[int, *any]{r.Int(), &x})
		return h, func(x any) any { return *x.(unique.Handle[pair[int, *any]]).Value().value }
	})
	actors = append(actors, func(r *rand.Rand, p parcel) {
		next, stop := iter.Pull(func(yield func(parcel) bool) {
			defer p.deliver()
			yield(p)
		})
		next()
		functions = append(functions, stop)
	})
}
