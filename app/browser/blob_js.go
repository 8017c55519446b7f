package browser

import (
	"context"
	"errors"
	"fmt"
	"io"
	"syscall/js"

	"github.com/holdfast-backup/holdfast/wire/proto"
)

// Blob is a file that a person gave to the page. In a worker it can be read; its methods may be called from several goroutines.
type Blob struct{ v js.Value }

// Files are the files of an input's or a drop's FileList.
func Files(list js.Value) (files []Blob) {
	if !list.Truthy() {
		return nil
	}
	for i := range list.Length() {
		files = append(files, Blob{list.Index(i)})
	}
	return files
}

// Name is what the file is called.
func (b Blob) Name() string { return b.v.Get("name").String() }

// Size is its length in bytes.
func (b Blob) Size() int64 { return int64(b.v.Get("size").Float()) }

// ReadAt implements [io.ReaderAt]. It is for workers only: there the browser lets a program wait for a file.
func (b Blob) ReadAt(p []byte, off int64) (int, error) {
	n := min(int64(len(p)), b.Size()-off)
	if n <= 0 {
		return 0, io.EOF
	}
	part, err := try(func() js.Value {
		return global.Get("FileReaderSync").New().Call("readAsArrayBuffer", b.v.Call("slice", float64(off), float64(off+n)))
	})
	if err != nil {
		return 0, fmt.Errorf("the file cannot be read: if it was moved or changed, choose it again; of a folder, make a ZIP first (%w)", err)
	}
	got := js.CopyBytesToGo(p, uint8Array.New(part))
	switch {
	case int64(got) < n:
		return got, errors.New("the file has become shorter while it was read")
	case got < len(p):
		return got, io.EOF
	}
	return got, nil
}

// Bearer sends a GraphQL operation with a token, and without the page's login.
func Bearer(ctx context.Context, token string, body []byte) (int, []byte, error) {
	return bearer(ctx, "/graphql", token, map[string]string{"Content-Type": "application/json"}, toJS(body))
}

// Upload sends a GraphQL operation with a file, as POST /graphql/upload wants it.
func Upload(ctx context.Context, token string, operations, file []byte) (int, []byte, error) {
	form := global.Get("FormData").New()
	form.Call("append", "operations", string(operations))
	form.Call("append", "map", `{"0":["variables.input.pack"]}`)
	form.Call("append", "0", global.Get("Blob").New([]any{toJS(file)}, record("type", "application/octet-stream")), "pack")
	return bearer(ctx, "/graphql/upload", token, nil, form)
}

func bearer(ctx context.Context, url, token string, headers map[string]string, body js.Value) (int, []byte, error) {
	all := map[string]string{"Authorization": "Bearer " + token, proto.HeaderRequest: "1"}
	for k, v := range headers {
		all[k] = v
	}
	r, err := send(ctx, "POST", url, all, body, "omit")
	if err != nil {
		return 0, nil, err
	}
	defer r.end()
	content, err := call(ctx, r.v, "arrayBuffer")
	if err != nil {
		return 0, nil, err
	}
	return r.v.Get("status").Int(), toGo(content), nil
}

// Receive takes all that a Stream at the other end of a port sends, up to limit bytes.
func (p *Port) Receive(ctx context.Context, limit int) ([]byte, error) {
	type message struct {
		piece []byte
		end   bool
		err   error
	}
	messages := make(chan message, ahead)
	on := js.FuncOf(func(_ js.Value, args []js.Value) any {
		data := args[0].Get("data")
		var m message
		switch {
		case data.Get("piece").Truthy():
			m.piece = toGo(data.Get("piece"))
		case data.Get("end").Truthy():
			m.end = true
		default:
			m.err = errors.New(data.Get("abort").String())
		}
		select {
		case messages <- m:
		default: // more than it may send ahead: whoever sends waits for an answer that does not come
		}
		return nil
	})
	defer on.Release()
	p.v.Set("onmessage", on)
	defer p.v.Set("onmessage", js.Null())
	var all []byte
	for {
		select {
		case <-ctx.Done():
			p.v.Call("postMessage", record("gone", true))
			return nil, context.Cause(ctx)
		case m := <-messages:
			switch {
			case m.err != nil:
				return nil, m.err
			case m.end:
				p.v.Call("postMessage", record("ended", true))
				return all, nil
			}
			if all = append(all, m.piece...); len(all) > limit {
				p.v.Call("postMessage", record("gone", true))
				return nil, errors.New("more came than was asked for")
			}
			p.v.Call("postMessage", record("more", true))
		}
	}
}
