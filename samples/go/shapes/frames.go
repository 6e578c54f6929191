package main

import (
	"fmt"
	"runtime"
	"sort"
	"strings"
)

// frames parks goroutines under stacks of every form. All of them receive from idle.
func frames() {
	go deep(40)
	go deep(150)
	go evenDepth(150)
	go inlinedOnce()
	go inlinedTwice()
	go func() { func() { func() { park() }() }() }()
	go genericFunction[int](1)
	go genericFunction[map[string]*pair[int, string]](nil)
	go genericMethod()
	go embeddedMethod()
	go interfaceMethod()
	go methodValue()
	go deferring()
	go recovering()
	go nilPointer()
	go dividing()
	go callbackInSort()
	go stringsMap()
	go manyArguments(1, "two", []byte("three"), 4.5, pair[int, string]{6, "seven"}, nil, nil, 'x')
	go bigFrame()
	go goexiting()
	generations(3)
	go parkForever.run()
}

var idle = make(chan struct{})

//go:noinline
func park() { <-idle }

//go:noinline
func deep(depth int) int {
	if depth > 1 {
		return deep(depth-1) + 1
	}
	park()
	return 1
}

//go:noinline
func evenDepth(depth int) int {
	if depth > 1 {
		return oddDepth(depth-1) + 1
	}
	park()
	return 1
}

//go:noinline
func oddDepth(depth int) int { return hop(depth) }

// hop is small enough to be inlined into oddDepth, which makes two logical frames of one.
func hop(depth int) int { return evenDepth(depth - 1) }

func inlinedOnce() { inner() }

func inlinedTwice() { outer() }

func outer() { inner() }

func inner() { <-idle }

type pair[K comparable, V any] struct {
	key   K
	value V
}

//go:noinline
func (p *pair[K, V]) parked(other V) (K, V) {
	park()
	return p.key, other
}

//go:noinline
func (p pair[K, V]) closure() {
	func() { func() { park() }() }()
}

//go:noinline
func genericFunction[T any](value T) T {
	park()
	return value
}

func genericMethod() {
	go (&pair[string, int]{"a", 1}).parked(2)
	go pair[int, fmt.Stringer]{}.closure()
	(&pair[int, []string]{1, nil}).parked(nil)
}

type parker struct{ count [4]int }

//go:noinline
func (p parker) parkByValue() int {
	park()
	return p.count[0]
}

//go:noinline
func (p *parker) run() { park(); p.count[1]++ }

var parkForever = &parker{}

type holder struct{ *parker }

type outerHolder struct{ holder }

type parks interface{ parkByValue() int }

// embeddedMethod calls through a method that the compiler wrote.
func embeddedMethod() {
	var p parks = outerHolder{holder{&parker{}}}
	p.parkByValue()
}

// interfaceMethod calls a value's method through a pointer: another method of the compiler's.
func interfaceMethod() {
	var p parks = &parker{}
	p.parkByValue()
}

func methodValue() {
	run := parkForever.run
	callTwice(run)
}

//go:noinline
func callTwice(f func()) { f(); f() }

func deferring() {
	defer park()
	defer func() {}()
}

// recovering parks in a deferred call while a panic is on its way.
func recovering() {
	defer func() {
		recover()
	}()
	defer func() {
		park()
	}()
	panic("on its way")
}

// nilPointer parks above a fault of the processor.
func nilPointer() {
	defer func() {
		park()
		recover()
	}()
	var p *parker
	p.count[2]++
}

// dividing has another kind of fault, two calls below the deferred one.
func dividing() {
	defer park()
	keep(divide(1, len(kept)-len(kept)))
}

//go:noinline
func divide(a, b int) int { return a / b }

func callbackInSort() {
	numbers := []int{3, 2, 1}
	sort.Slice(numbers, func(i, j int) bool {
		park()
		return numbers[i] < numbers[j]
	})
}

func stringsMap() {
	strings.Map(func(r rune) rune {
		park()
		return r
	}, "text")
}

//go:noinline
func manyArguments(a int, b string, c []byte, d float64, e pair[int, string], f error, g map[string]int, h rune) {
	park()
	fmt.Fprint(nil, a, b, c, d, e, f, g, h)
}

//go:noinline
func bigFrame() {
	var buffer [1 << 16]byte
	park()
	keep(buffer[len(kept)%len(buffer)])
}

// goexiting parks in a call deferred before runtime.Goexit.
func goexiting() {
	defer park()
	runtime.Goexit()
}

// generations starts a goroutine that starts a goroutine, for chains of ancestors.
func generations(count int) {
	if count > 0 {
		go func() {
			generations(count - 1)
			park()
		}()
	}
}
