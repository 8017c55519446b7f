//go:build !linux

// Package shop is for the end-to-end tests, which run on Linux.
package shop
