//go:build go1.25

package main

import (
	"math/rand"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// bubbles are made by a test that never ends.
var bubbles = make(chan func(*testing.T))

func makeBubbles(t *testing.T) {
	for f := range bubbles {
		go synctest.Test(t, f)
	}
}

func init() {
	prepare = append(prepare, func() {
		match := func(string, string) (bool, error) { return true, nil }
		tests := []testing.InternalTest{{Name: "TestBubbles", F: makeBubbles}}
		go testing.Main(match, tests, nil, nil)
	})
	holds = append(holds, holding{"its child, by WaitGroup.Go", func(block func(), p parcel) {
		var group sync.WaitGroup
		group.Go(func() { block(); p.deliver() })
		group.Wait()
	}})
	actors = append(actors, func(r *rand.Rand, p parcel) { // in a bubble, whose main waits for the world
		if strings.Contains(os.Getenv("GODEBUG"), "asynctimerchan=1") { // cannot be had together
			registry = append(registry, p)
			return
		}
		outside, handed := make(chan int), make(chan parcel)
		kind := "in a bubble"
		request := func(*testing.T) {
			inside := make(chan int)
			begin("moves", kind, func() {
				me := id()
				<-inside
				moved(me)
				handed <- p
			})
			<-outside
			close(inside)
		}
		if r.Intn(2) == 0 {
			kind = "sleeping in a bubble"
			request = func(*testing.T) {
				begin("moves", kind, func() {
					me := id()
					time.Sleep(time.Hour)
					moved(me)
					handed <- p
				})
				<-outside
				time.Sleep(2 * time.Hour)
			}
		}
		bubbles <- request
		time.AfterFunc(later(), func() { close(outside); (<-handed).deliver() })
	})
	waits = append(waits, func(r *rand.Rand, _ string) waiting {
		c, w := make(chan int), new(sync.WaitGroup)
		w.Go(func() { <-c })
		return waiting{"WaitGroup.Go", c, w.Wait, shut[int]}
	})
}
