//go:build go1.25

package main

import (
	"math/rand"
	"sync"
)

func init() {
	holds = append(holds, holding{"its child, by WaitGroup.Go", func(block func(), p parcel) {
		var group sync.WaitGroup
		group.Go(func() { block(); p.deliver() })
		group.Wait()
	}})
	waits = append(waits, func(r *rand.Rand, _ string) waiting {
		c, w := make(chan int), new(sync.WaitGroup)
		w.Go(func() { <-c })
		return waiting{"WaitGroup.Go", c, w.Wait, shut[int]}
	})
}
