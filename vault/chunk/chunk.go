// Package chunk cuts a stream where its content says so.
package chunk

import "io"

type Params struct{ Min, Avg, Max int }

var DefaultParams = Params{Min: 256 << 10, Avg: 1 << 20, Max: 4 << 20}

func (p Params) Validate() error { panic("soon") }

type Table struct{}

func NewTable(key [32]byte) *Table                       { panic("soon") }
func (t *Table) Cut(p Params, data []byte, eof bool) int { panic("soon") }

type Chunker struct{}

func New(r io.Reader, t *Table, p Params, buf []byte) *Chunker { panic("soon") }
func (c *Chunker) Next() ([]byte, error)                       { panic("soon") }
