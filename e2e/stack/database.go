package stack

import (
	"encoding/json"
	"os"
	"path/filepath"
)

// DatabaseURL returns the address of the private PostgreSQL of a running server, for looking (and worse) at
// it from outside.
func (s *Server) DatabaseURL() (string, error) {
	e, err := s.endpoints()
	return e.DatabaseURL, err
}

// RedisURL returns the address of its private Redis.
func (s *Server) RedisURL() (string, error) {
	e, err := s.endpoints()
	return e.RedisURL, err
}

type endpoints struct {
	DatabaseURL string `json:"database_url"`
	RedisURL    string `json:"redis_url"`
}

func (s *Server) endpoints() (e endpoints, err error) {
	b, err := os.ReadFile(filepath.Join(s.Data, "endpoints.json"))
	if err != nil {
		return e, err
	}
	return e, json.Unmarshal(b, &e)
}
