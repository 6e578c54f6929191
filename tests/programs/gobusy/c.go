//go:build cgo

package main

/*
#include <stdint.h>
#include <string.h>
#include <time.h>

extern int64_t goBack(int64_t);

static int64_t spin(int64_t n)
{
	volatile int64_t x = 1;
	for (int64_t i = 0; i < n; i++)
		x = x * 31 + i;
	return x;
}

static int64_t ask(void)
{
	struct timespec now;
	int64_t sum = 0;
	for (int i = 0; i < 1000; i++) {
		clock_gettime(CLOCK_MONOTONIC, &now);
		sum += now.tv_nsec;
	}
	return sum;
}

static int64_t back(int64_t n)
{
	return goBack(n) + 1;
}
*/
import "C"

import "sync/atomic"

//export goBack
func goBack(n C.int64_t) C.int64_t {
	if n > 0 && n%3 == 0 {
		return C.back(n - 1)
	}
	return C.int64_t(leaf(int(n), 2))
}

func init() {
	others = append(others,
		func() { atomic.AddInt64(&sink, int64(C.spin(100000))) },
		func() { atomic.AddInt64(&sink, int64(C.ask())) },
		func() {
			for i := 0; i < 100; i++ {
				atomic.AddInt64(&sink, int64(C.back(C.int64_t(i))))
			}
		})
}
