package browser

import (
	"context"
	"errors"
	"syscall/js"
	"time"

	"github.com/holdfast-backup/holdfast/wire/fault"
)

// Keeper keeps one key across a reload, wrapped, in the browser's database: it is a safe.Keeper. The zero value is ready.
type Keeper struct{}

// Where it is kept.
const (
	keeperDatabase = "holdfast-keys"
	keeperStore    = "kept"
	keeperRecord   = "keys"
)

// Keep implements safe.Keeper.
func (Keeper) Keep(ctx context.Context, user string, key [32]byte, sealed []byte, until time.Time) error {
	w, err := wrap(ctx, key[:], user)
	if err != nil {
		return err
	}
	return keeperDo(ctx, "readwrite", func(store js.Value) js.Value {
		return store.Call("put", record("user", user, "key", w.key, "nonce", toJS(w.nonce), "wrapped", toJS(w.sealed), "sealed", toJS(sealed),
			"until", until.UnixMilli()), keeperRecord)
	}, nil)
}

// Kept implements safe.Keeper.
func (k Keeper) Kept(ctx context.Context, user string, now time.Time) (key [32]byte, sealed []byte, until time.Time, err error) {
	none := fault.New(fault.NotFound, "nothing was kept")
	var r js.Value
	err = keeperDo(ctx, "readonly", func(store js.Value) js.Value { return store.Call("get", keeperRecord) }, &r)
	if err != nil {
		return key, nil, until, err
	}
	if !r.Truthy() || r.Get("user").Type() != js.TypeString || r.Get("user").String() != user {
		return key, nil, until, none
	}
	secret, err := func() (secret []byte, err error) {
		var w wrapped
		if _, err := try(func() js.Value {
			until = time.UnixMilli(int64(r.Get("until").Float()))
			w = wrapped{r.Get("key"), toGo(r.Get("nonce")), toGo(r.Get("wrapped"))}
			sealed = toGo(r.Get("sealed"))
			return js.Undefined()
		}); err != nil || !now.Before(until) {
			return nil, none
		}
		return w.unwrap(ctx, user)
	}()
	if err == nil && len(secret) == len(key) {
		return [32]byte(secret), sealed, until, nil
	}
	// It is over, or of no use.
	k.Forget(ctx) //nolint:errcheck // then it stays until it is tried again
	return key, nil, until, none
}

// Forget implements safe.Keeper.
func (Keeper) Forget(ctx context.Context) error {
	return keeperDo(ctx, "readwrite", func(store js.Value) js.Value { return store.Call("clear") }, nil)
}

// keeperDo runs one request on the store and waits until it is done for good. result, which may be nil, gets what it gives.
func keeperDo(ctx context.Context, mode string, request func(store js.Value) js.Value, result *js.Value) error {
	factory := global.Get("indexedDB")
	if !factory.Truthy() {
		return errors.New("this browser keeps nothing")
	}
	open, err := try(func() js.Value { return factory.Call("open", keeperDatabase, 1) })
	if err != nil {
		return err
	}
	upgrade := js.FuncOf(func(js.Value, []js.Value) any {
		try(func() js.Value { return open.Get("result").Call("createObjectStore", keeperStore) }) //nolint:errcheck // then the transaction fails
		return nil
	})
	defer upgrade.Release()
	open.Set("onupgradeneeded", upgrade)
	if err := settled(ctx, open, "onsuccess", "onerror", "onblocked"); err != nil {
		return err
	}
	db := open.Get("result")
	defer db.Call("close")
	if err := ctx.Err(); err != nil { // a lock that came meanwhile must not be undone
		return err
	}
	var req js.Value
	tx, err := try(func() js.Value {
		tx := db.Call("transaction", keeperStore, mode)
		req = request(tx.Call("objectStore", keeperStore))
		return tx
	})
	if err != nil {
		return err
	}
	if err := settled(ctx, tx, "oncomplete", "onerror", "onabort"); err != nil {
		return err
	}
	if result != nil {
		*result = req.Get("result")
	}
	return nil
}

// settled waits for the first of some events of something that reports by events: good, or one of the bad ones.
func settled(ctx context.Context, on js.Value, good string, bad ...string) error {
	promise := global.Get("Promise").New(promised(func(yes, no js.Value) {
		on.Set(good, yes)
		for _, name := range bad {
			on.Set(name, no)
		}
	}))
	_, err := await(ctx, promise)
	if err != nil && ctx.Err() == nil {
		if why := on.Get("error"); why.Truthy() {
			return jsError(why)
		}
		return errors.New("the browser's storage does not work")
	}
	return err
}
