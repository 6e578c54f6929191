//go:build cgo

package main

/*
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

extern void comeBack(uintptr_t);
extern void comeBackByHandle(uintptr_t);

static void callBack(uintptr_t x) { comeBack(x); }

struct sleeper {
    uintptr_t handle;
    unsigned us;
};

static void *sleeps(void *arg)
{
    struct sleeper sleeper = *(struct sleeper *)arg;
    free(arg);
    usleep(sleeper.us);
    comeBackByHandle(sleeper.handle);
    return NULL;
}

static void fromThread(uintptr_t handle, unsigned us)
{
    struct sleeper *sleeper = malloc(sizeof(*sleeper));
    pthread_t thread;
    sleeper->handle = handle;
    sleeper->us = us;
    if (pthread_create(&thread, NULL, sleeps, sleeper))
        abort();
    pthread_detach(thread);
}
*/
import "C"

import (
	"math/rand"
	"runtime"
	"runtime/cgo"
	"time"
	"unsafe"
)

type backed struct{ block func() }

func micros() C.uint { return C.uint(later() / time.Microsecond) }

func init() {
	holds = append(holds, holding{"a frame below C", func(block func(), p parcel) {
		if pipes.Add(1) < 40 { // each keeps its thread
			x := &backed{block}
			block = nil
			C.callBack(C.uintptr_t(uintptr(unsafe.Pointer(x)))) // C knows it by a number
			runtime.KeepAlive(x)
		} else {
			block()
		}
		p.deliver()
	}})
	actors = append(actors,
		func(r *rand.Rand, p parcel) { // known by a number
			h := cgo.NewHandle(p)
			functions = append(functions, func() { h.Value().(parcel).deliver(); h.Delete() })
		},
		func(r *rand.Rand, p parcel) {
			if pipes.Add(1) > 40 {
				registry = append(registry, p)
				return
			}
			C.fromThread(C.uintptr_t(cgo.NewHandle(p)), micros())
		},
		func(r *rand.Rand, p parcel) {
			if pipes.Add(1) > 40 {
				registry = append(registry, p)
				return
			}
			actor(r, "asleep in C", func() { C.usleep(micros()) }, p)
		},
	)
}
