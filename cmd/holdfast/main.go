//go:build unix

// Holdfast is the keeping half: the server, its worker, and the operator's tools. It holds no key code at all.
//
// It is one table of commands (command.go) over packages depot, server and worker. What is decided here is only
// how an operator or a script meets them: flags with their twins in the environment, words, exit codes:
//
//	0 done   1 failed   2 usage
//
// Results go to standard output, the log and errors to standard error. With --json the result is one JSON
// object, and an error is one too: {"error":{"code":"CONFLICT","message":"…"}}.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		cancel() // politely: requests under way finish, PostgreSQL and Redis shut down
		<-signals
		os.Exit(exitFailed) // at once
	}()
	os.Exit(run(ctx, os.Args[1:], os.Getenv, os.Stdin, os.Stdout, os.Stderr))
}
