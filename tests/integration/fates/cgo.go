//go:build cgo

package main

import (
	"math/rand"
	"runtime/cgo"
)

func init() {
	actors = append(actors, func(r *rand.Rand, p parcel) { // known by a number
		h := cgo.NewHandle(p)
		functions = append(functions, func() { h.Value().(parcel).deliver(); h.Delete() })
	})
}
