package safe

import (
	"context"
	"encoding/json"
	"time"

	"github.com/holdfast-backup/holdfast/vault/restore"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// locationsQuery is the only operation that a safe sends by itself. It is written by hand: the page's generated client, and the network that
// is linked with it, would make the worker's program an eighth larger.
const locationsQuery = `query ObjectLocations($input: ObjectLocationsInput!) { objectLocations(input: $input) { packs { name size url expiresAt } table } }`

// locations is what the server answers.
type locations struct {
	Data struct {
		ObjectLocations *struct {
			Packs []struct {
				Name      string
				Size      int64
				URL       string
				ExpiresAt time.Time
			}
			Table []byte
		}
	}
	Errors []struct {
		Message    string
		Extensions struct {
			Code       string
			RetryAfter float64
		}
	}
}

// locate asks where objects lie, with addresses of this server: a page may read from nowhere else.
func (s *Safe) locate(ctx context.Context, ids []byte) ([]restore.Address, []byte, error) {
	question := map[string]any{"operationName": "ObjectLocations", "query": locationsQuery, "variables": map[string]any{"input": map[string]any{"ids": ids, "relay": true}}}
	body, err := json.Marshal(question)
	if err != nil {
		return nil, nil, err
	}
	status, text, err := s.out.Post(ctx, body)
	if ctx.Err() != nil {
		return nil, nil, context.Cause(ctx)
	}
	if err != nil {
		return nil, nil, fault.Wrap(err, fault.Unavailable, "the server cannot be reached: check the connection")
	}
	var answer locations
	err = json.Unmarshal(text, &answer)
	switch {
	case err == nil && len(answer.Errors) > 0:
		e := answer.Errors[0]
		if e.Extensions.Code == "" {
			e.Extensions.Code = string(fault.Internal)
		}
		return nil, nil, &fault.Error{Kind: fault.Kind(e.Extensions.Code), Message: e.Message, RetryAfter: int(e.Extensions.RetryAfter)}
	case err != nil || answer.Data.ObjectLocations == nil:
		return nil, nil, fault.New(fault.Unavailable, "the server answered %d and nothing that can be understood: try again in a moment", status)
	}
	l := answer.Data.ObjectLocations
	packs := make([]restore.Address, len(l.Packs))
	for i, p := range l.Packs {
		packs[i] = restore.Address{Name: p.Name, Size: p.Size, URL: p.URL, Expires: p.ExpiresAt}
	}
	return packs, l.Table, nil
}
