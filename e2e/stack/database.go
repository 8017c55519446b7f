package stack

import (
	"encoding/json"
	"os"
	"path/filepath"
)

// DatabaseURL returns the address of the private PostgreSQL of a running server, for looking (and worse) at
// it from outside.
func (s *Server) DatabaseURL() (string, error) {
	b, err := os.ReadFile(filepath.Join(s.Data, "endpoints.json"))
	if err != nil {
		return "", err
	}
	var e struct {
		DatabaseURL string `json:"database_url"`
	}
	err = json.Unmarshal(b, &e)
	return e.DatabaseURL, err
}
