package browser

import (
	"context"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Text reads the file that was chosen in a file field, UTF-8 of at most max bytes. "": none was chosen.
func (Window) Text(ctx context.Context, id string, max int) (string, error) {
	field := global.Get("document").Call("getElementById", id)
	if !field.Truthy() || field.Get("files").Length() == 0 {
		return "", nil
	}
	file := field.Get("files").Index(0)
	name, size := file.Get("name").String(), file.Get("size").Int()
	if size > max {
		return "", fmt.Errorf("%s is larger than %d KiB: choose a file with people only", name, max>>10)
	}
	buffer, err := call(ctx, file, "arrayBuffer")
	if err != nil {
		return "", fmt.Errorf("%s cannot be read: choose it once more", name)
	}
	field.Set("value", "") // so that the same file can be chosen again
	text := strings.TrimPrefix(string(toGo(buffer)), "\ufeff")
	if !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
		return "", fmt.Errorf("%s is not text in UTF-8: save it as “CSV UTF-8”", name)
	}
	return text, nil
}
