package main

import (
	"bufio"
	"container/list"
	"context"
	"io"
	"math/rand"
	"net/http"
	"reflect"
	"runtime"
	"sync"
	"sync/atomic"
	"unsafe"
)

type small struct {
	_ int
	x any
}

type large struct {
	_ [100]int
	x [7]any
}

type huge struct {
	_ [5000]int
	x any
}

type vast struct {
	x [1 << 17]any
}

type node struct {
	x    any
	next *node
}

type tree struct {
	left, right *tree
	key         int
	x           any
}

type pair[K comparable, V any] struct {
	key   K
	value V
}

func (p *pair[K, V]) get() any { return p.value }

type getter interface{ get() any }

type reader struct{ x any }

func (*reader) Read([]byte) (int, error) { return 0, io.EOF }

func (r *reader) WriteTo(w io.Writer) (int64, error) {
	w.(*writer).x = r.x
	return 0, nil
}

type writer struct{ x any }

func (*writer) Write(b []byte) (int, error) { return len(b), nil }

type tiny struct{ x *any }

// inside moves a pointer within its object.
func inside(p unsafe.Pointer, by int) unsafe.Pointer { return unsafe.Add(p, by) }

func first(x any) any { return x.(*[1]any)[0] }

// wraps put x into an object, so that only that object leads to it, and say how to get it out.
var wraps = []func(r *rand.Rand, x any) (any, func(any) any){
	func(r *rand.Rand, x any) (any, func(any) any) {
		return &small{x: x}, func(x any) any { return x.(*small).x }
	},
	func(r *rand.Rand, x any) (any, func(any) any) {
		l, i := new(large), r.Intn(7)
		l.x[i] = x
		return l, func(x any) any { return x.(*large).x[i] }
	},
	func(r *rand.Rand, x any) (any, func(any) any) {
		return &huge{x: x}, func(x any) any { return x.(*huge).x }
	},
	func(r *rand.Rand, x any) (any, func(any) any) {
		v, i := new(vast), r.Intn(1<<17)
		if r.Intn(10) != 0 {
			return &[1]any{x}, first
		}
		v.x[i] = x
		return &v.x[i/2], func(x any) any { return *(*any)(inside(unsafe.Pointer(x.(*any)), (i-i/2)*16)) }
	},
	func(r *rand.Rand, x any) (any, func(any) any) {
		k := r.Int()
		m := map[int]any{k: x, 2: 3}
		for n := r.Intn(200); n > 0; n-- {
			m[n] = n
		}
		if r.Intn(4) == 0 { // old tables, half moved
			for n := 0; n < 100; n++ {
				m[-n] = m
			}
		}
		return m, func(x any) any { return x.(map[int]any)[k] }
	},
	func(r *rand.Rand, x any) (any, func(any) any) {
		m := map[string]large{"": {}}
		l := large{}
		l.x[3] = x
		m["k"] = l
		return m, func(x any) any { return x.(map[string]large)["k"].x[3] }
	},
	func(r *rand.Rand, x any) (any, func(any) any) {
		m := map[*small]bool{{x: x}: true}
		return m, func(x any) any {
			for k := range x.(map[*small]bool) {
				return k.x
			}
			return nil
		}
	},
	func(r *rand.Rand, x any) (any, func(any) any) {
		m := map[[20]any]struct{}{{4: &x}: {}}
		return m, func(x any) any {
			for k := range x.(map[[20]any]struct{}) {
				return *k[4].(*any)
			}
			return nil
		}
	},
	func(r *rand.Rand, x any) (any, func(any) any) {
		c := make(chan any, 1)
		c <- x
		return map[chan any]int{c: 1, make(chan any): 2, nil: 3}, func(x any) any {
			for k := range x.(map[chan any]int) {
				select {
				case x = <-k:
					return x
				default:
				}
			}
			return nil
		}
	},
	func(r *rand.Rand, x any) (any, func(any) any) {
		s, i := make([]any, 1+r.Intn(2000)), 0
		i = r.Intn(len(s))
		s[i] = x
		return s, func(x any) any { return x.([]any)[i] }
	},
	func(r *rand.Rand, x any) (any, func(any) any) {
		s := make([]any, 100, 200)
		s[:150][120] = x
		return s[10:20], func(x any) any { return x.([]any)[:150][110] }
	},
	func(r *rand.Rand, x any) (any, func(any) any) {
		return func() any { return x }, func(x any) any { return x.(func() any)() }
	},
	func(r *rand.Rand, x any) (any, func(any) any) {
		a, b := r.Int(), "text"
		f := func() (any, int, string) { x, y := x, a; return x, y, b }
		return &f, func(x any) any { x, _, _ = (*x.(*func() (any, int, string)))(); return x }
	},
	func(r *rand.Rand, x any) (any, func(any) any) {
		c := make(chan any, 3)
		c <- 1
		<-c
		c <- x
		return c, func(x any) any { return <-x.(chan any) }
	},
	func(r *rand.Rand, x any) (any, func(any) any) {
		c, d := make(chan chan large, 1), make(chan large, 1)
		l := large{}
		l.x[0] = x
		d <- l
		c <- d
		return (<-chan chan large)(c), func(x any) any { return (<-<-x.(<-chan chan large)).x[0] }
	},
	func(r *rand.Rand, x any) (any, func(any) any) {
		var head *node
		n := 1 + r.Intn(300)
		for i := 0; i <= n; i++ {
			head = &node{next: head}
			if i == 0 {
				head.x = x
			}
		}
		return head, func(x any) any {
			at := x.(*node)
			for ; at.next != nil; at = at.next {
			}
			return at.x
		}
	},
	func(r *rand.Rand, x any) (any, func(any) any) {
		a := &node{}
		a.next = &node{x: x, next: a} // a ring
		return a, func(x any) any { return x.(*node).next.x }
	},
	func(r *rand.Rand, x any) (any, func(any) any) {
		key, top := r.Intn(100), (*tree)(nil)
		for i := 0; i < 100; i++ {
			at := &top
			for *at != nil {
				if i*37%100 < (*at).key {
					at = &(*at).left
				} else {
					at = &(*at).right
				}
			}
			*at = &tree{key: i * 37 % 100}
			if (*at).key == key {
				(*at).x = x
			}
		}
		return top, func(x any) any {
			at := x.(*tree)
			for at.key != key {
				if key < at.key {
					at = at.left
				} else {
					at = at.right
				}
			}
			return at.x
		}
	},
	func(r *rand.Rand, x any) (any, func(any) any) {
		return [3]any{nil, x, 1}, func(x any) any { return x.([3]any)[1] }
	},
	func(r *rand.Rand, x any) (any, func(any) any) {
		return &small{x: &[]any{1, x}}, func(x any) any { return (*x.(*small).x.(*[]any))[1] }
	},
	func(r *rand.Rand, x any) (any, func(any) any) {
		return tiny{&x}, func(x any) any { return *x.(tiny).x }
	},
	func(r *rand.Rand, x any) (any, func(any) any) {
		l, i := new(large), r.Intn(7)
		l.x[5] = x
		return &l.x[i], func(x any) any { return *(*any)(inside(unsafe.Pointer(x.(*any)), (5-i)*16)) }
	},
	func(r *rand.Rand, x any) (any, func(any) any) {
		return unsafe.Pointer(&small{x: x}), func(x any) any { return (*small)(x.(unsafe.Pointer)).x }
	},
	func(r *rand.Rand, x any) (any, func(any) any) {
		var g getter = &pair[string, any]{"key", x}
		if r.Intn(2) == 0 {
			return g.get, func(x any) any { return x.(func() any)() }
		}
		return g, func(x any) any { return x.(getter).get() }
	},
	func(r *rand.Rand, x any) (any, func(any) any) {
		m := new(sync.Map)
		m.Store(1, x)
		if r.Intn(2) == 0 {
			m.Range(func(any, any) bool { return true })
			m.Store(2, x)
			m.Delete(2)
		}
		return m, func(x any) any { x, _ = x.(*sync.Map).Load(1); return x }
	},
	func(r *rand.Rand, x any) (any, func(any) any) {
		v := new(atomic.Value)
		v.Store(&small{x: x})
		return v, func(x any) any { return x.(*atomic.Value).Load().(*small).x }
	},
	func(r *rand.Rand, x any) (any, func(any) any) {
		p := new(atomic.Pointer[any])
		p.Store(&x)
		return p, func(x any) any { return *x.(*atomic.Pointer[any]).Load() }
	},
	func(r *rand.Rand, x any) (any, func(any) any) {
		return reflect.ValueOf(&small{x: x}), func(x any) any { return x.(reflect.Value).Interface().(*small).x }
	},
	func(r *rand.Rand, x any) (any, func(any) any) {
		t := reflect.StructOf([]reflect.StructField{
			{Name: "A", Type: reflect.TypeOf(0)},
			{Name: "B", Type: reflect.ArrayOf(1+r.Intn(90), reflect.TypeOf(&x).Elem())},
		})
		v := reflect.New(t)
		v.Elem().Field(1).Index(0).Set(reflect.ValueOf(&[1]any{x}))
		return v.Interface(), func(x any) any {
			return first(reflect.ValueOf(x).Elem().Field(1).Index(0).Interface())
		}
	},
	func(r *rand.Rand, x any) (any, func(any) any) {
		f := reflect.MakeFunc(reflect.TypeOf(func() any { return nil }), func([]reflect.Value) []reflect.Value {
			return []reflect.Value{reflect.ValueOf(&x).Elem()}
		}).Interface()
		return f, func(x any) any { return x.(func() any)() }
	},
	func(r *rand.Rand, x any) (any, func(any) any) {
		l := list.New()
		l.PushBack(x)
		l.PushFront(1)
		return l, func(x any) any { return x.(*list.List).Back().Value }
	},
	func(r *rand.Rand, x any) (any, func(any) any) {
		ctx := context.WithValue(context.WithValue(context.Background(), 1, x), 2, 3)
		return ctx, func(x any) any { return x.(context.Context).Value(1) }
	},
	func(r *rand.Rand, x any) (any, func(any) any) {
		q, _ := http.NewRequest("GET", "http://localhost/", nil)
		q = q.WithContext(context.WithValue(context.Background(), 1, x))
		return q, func(x any) any { return x.(*http.Request).Context().Value(1) }
	},
	func(r *rand.Rand, x any) (any, func(any) any) {
		return bufio.NewReader(&reader{x}), func(x any) any {
			w := new(writer)
			x.(*bufio.Reader).WriteTo(w)
			return w.x
		}
	},
	func(r *rand.Rand, x any) (any, func(any) any) {
		s := &small{x: x}
		runtime.SetFinalizer(s, func(*small) {}) // a finalizer elsewhere changes nothing
		return &[1]any{s}, func(x any) any { return first(x).(*small).x }
	},
	func(r *rand.Rand, x any) (any, func(any) any) {
		var p *any = &x
		q := &p
		return &q, func(x any) any { return ***x.(***any) }
	},
	func(r *rand.Rand, x any) (any, func(any) any) {
		s := make([][]any, 50)
		for i := range s {
			s[i] = make([]any, i)
		}
		s[49][7] = x
		return s, func(x any) any { return x.([][]any)[49][7] }
	},
	func(r *rand.Rand, x any) (any, func(any) any) {
		o := new(sync.Pool)
		o.New = func() any { return x }
		return o, func(x any) any { return x.(*sync.Pool).Get() }
	},
}
