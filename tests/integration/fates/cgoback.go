//go:build cgo

package main

import "C"

import (
	"runtime/cgo"
	"unsafe"
)

//export comeBack
func comeBack(x uintptr) {
	(*(**backed)(unsafe.Pointer(&x))).block()
}

//export comeBackByHandle
func comeBackByHandle(h uintptr) {
	handle := cgo.Handle(h)
	go handle.Value().(parcel).deliver() // coroutines are for goroutines that no thread owns
	handle.Delete()
}
