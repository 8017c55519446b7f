package portable

import (
	"io"
	"strings"
)

// TableName is the name of a table where there are no schemas: PostgreSQL's schema public is what there is of them elsewhere. Others stay in the name.
func TableName(name string) string {
	if rest, ok := strings.CutPrefix(name, "public."); ok && rest != "" && !strings.Contains(rest, ".") {
		return rest
	}
	return name
}

// Progress tells of every part that is read of in how many bytes there were so far. A nil tell hears nothing; then comes step, each time.
func Progress(in io.Reader, tell func(bytes int64), step func()) io.Reader {
	return &progress{in: in, tell: tell, step: step}
}

type progress struct {
	in   io.Reader
	tell func(int64)
	step func()
	n    int64
}

func (p *progress) Read(b []byte) (int, error) {
	n, err := p.in.Read(b)
	if p.n += int64(n); n > 0 {
		if p.tell != nil {
			p.tell(p.n)
		}
		p.step()
	}
	return n, err
}
