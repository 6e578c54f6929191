//go:build go1.21

package main

import (
	"context"
	"math/rand"
	"runtime"
	"sync"
)

func init() {
	waits = append(waits,
		func(r *rand.Rand, _ string) waiting {
			c := make(chan int)
			ctx, cancel := context.WithCancelCause(context.Background())
			context.AfterFunc(context.WithValue(ctx, 1, 2), func() { close(c) })
			return waiting{"context.AfterFunc", cancel, func() { <-c }, func(x any) { x.(context.CancelCauseFunc)(nil) }}
		},
		func(r *rand.Rand, _ string) waiting {
			c := make(chan int)
			once := sync.OnceFunc(func() { close(c) })
			return waiting{"sync.OnceFunc", once, func() { <-c }, func(x any) { x.(func())() }}
		},
	)
	wraps = append(wraps, func(r *rand.Rand, x any) (any, func(any) any) {
		return sync.OnceValue(func() any { return x }), func(x any) any { return x.(func() any)() }
	})
	holds = append(holds, holding{"a pinned object", func(block func(), p parcel) {
		var pin runtime.Pinner
		q := &p
		pin.Pin(q)
		block()
		q.deliver()
		pin.Unpin()
	}})
	actors = append(actors, func(r *rand.Rand, p parcel) {
		ctx, _ := context.WithTimeout(context.Background(), later())
		context.AfterFunc(ctx, p.deliver)
	})
}
