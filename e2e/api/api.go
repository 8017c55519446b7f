// Package api speaks GraphQL to a running server, as any program with a person's password would: for what the two command
// lines do not offer, such as writing policies.
package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"github.com/holdfast-backup/holdfast/vault/keyring"
	"github.com/holdfast-backup/holdfast/vault/remote"
)

// Client is somebody who is logged in.
type Client struct {
	URL, Token string
}

// Login logs a person in.
func Login(ctx context.Context, url, email string, password []byte) (*Client, error) {
	c, err := remote.Dial(url, remote.Options{})
	if err != nil {
		return nil, err
	}
	defer c.Close()
	p, err := c.LoginParams(ctx, email)
	if err != nil {
		return nil, err
	}
	key, _, err := keyring.FromPassword(password, keyring.KDF{Salt: p.Salt, Time: uint32(p.Time), MemoryKiB: uint32(p.MemoryKiB), Threads: uint8(p.Threads)})
	if err != nil {
		return nil, err
	}
	login, err := c.Login(ctx, email, key, "")
	if err != nil {
		return nil, err
	}
	return &Client{url, login.Token}, nil
}

// Do asks a query or a mutation and decodes its data into out, unless that is nil. The first error of the reply is the error.
func (c *Client) Do(ctx context.Context, query string, variables map[string]any, out any) error {
	body, err := json.Marshal(map[string]any{"query": query, "variables": variables})
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.URL+"/graphql", bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	if c.Token != "" {
		req.Header.Set("Authorization", "Bearer "+c.Token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	var reply struct {
		Data   json.RawMessage
		Errors []struct {
			Message    string
			Extensions struct{ Code string }
		}
	}
	if err := json.Unmarshal(b, &reply); err != nil {
		return fmt.Errorf("%s: %.200s", resp.Status, b)
	}
	if len(reply.Errors) > 0 {
		return fmt.Errorf("%s: %s", reply.Errors[0].Extensions.Code, reply.Errors[0].Message)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(reply.Data, out)
}
