package browser

import (
	"context"
	"errors"
	"fmt"
	"syscall/js"
)

var (
	global      = js.Global()
	uint8Array  = global.Get("Uint8Array")
	arrayBuffer = global.Get("ArrayBuffer")
	object      = global.Get("Object")
)

// jsError turns what was thrown into an error.
func jsError(v js.Value) error {
	switch v.Type() {
	case js.TypeObject, js.TypeFunction:
		if m := v.Get("message"); m.Type() == js.TypeString {
			return errors.New(m.String())
		}
	case js.TypeString:
		return errors.New(v.String())
	}
	return fmt.Errorf("%s", v.String())
}

// try runs fn, which calls JavaScript, and gives what that throws as an error.
func try(fn func() js.Value) (v js.Value, err error) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case js.Error:
			err = jsError(p.Value)
		case *js.ValueError:
			err = p
		default:
			panic(p)
		}
	}()
	return fn(), nil
}

// await waits for a promise.
func await(ctx context.Context, promise js.Value) (js.Value, error) {
	type outcome struct {
		v   js.Value
		err error
	}
	done := make(chan outcome, 1)
	var yes, no js.Func
	release := func() { yes.Release(); no.Release() }
	yes = js.FuncOf(func(_ js.Value, args []js.Value) any {
		v := js.Undefined()
		if len(args) > 0 {
			v = args[0]
		}
		done <- outcome{v: v}
		release()
		return nil
	})
	no = js.FuncOf(func(_ js.Value, args []js.Value) any {
		err := errors.New("a promise was refused")
		if len(args) > 0 {
			err = jsError(args[0])
		}
		done <- outcome{err: err}
		release()
		return nil
	})
	promise.Call("then", yes, no)
	select {
	case o := <-done:
		return o.v, o.err
	case <-ctx.Done():
		return js.Undefined(), ctx.Err()
	}
}

// promised returns what a new promise is made with. begin gets the functions that keep and break it.
func promised(begin func(yes, no js.Value)) js.Value {
	var f js.Func
	f = js.FuncOf(func(_ js.Value, args []js.Value) any {
		begin(args[0], args[1])
		f.Release()
		return nil
	})
	return f.Value
}

// call calls a method that returns a promise, and waits for it.
func call(ctx context.Context, on js.Value, method string, args ...any) (js.Value, error) {
	promise, err := try(func() js.Value { return on.Call(method, args...) })
	if err != nil {
		return promise, err
	}
	return await(ctx, promise)
}

// toJS copies bytes into a Uint8Array.
func toJS(b []byte) js.Value {
	a := uint8Array.New(len(b))
	js.CopyBytesToJS(a, b)
	return a
}

// toGo copies the bytes of an ArrayBuffer or a Uint8Array.
func toGo(v js.Value) []byte {
	if !v.InstanceOf(uint8Array) {
		v = uint8Array.New(v)
	}
	b := make([]byte, v.Get("length").Int())
	js.CopyBytesToGo(b, v)
	return b
}

// record makes an object of names and values.
func record(kv ...any) js.Value {
	o := object.New()
	for i := 0; i < len(kv); i += 2 {
		o.Set(kv[i].(string), kv[i+1])
	}
	return o
}
