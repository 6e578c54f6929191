//go:build go1.24

package main

import "runtime"

func init() { ways["cleanup"] = cleanup }

//go:noinline
func cleanup(c chan int) { runtime.AddCleanup(new(object), func(c chan int) { close(c) }, c) }
