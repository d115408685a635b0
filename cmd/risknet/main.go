// Command risknet is the one program of the network: it runs nodes, and it asks
// and tells them. It owns flags, output and exit codes, and nothing that is
// longer than a screen; the work is done in the packages that it calls.
//
// Each verb runs on the main goroutine. SIGINT and SIGTERM end its context.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() { os.Exit(run(os.Args[1:])) }

// Exit codes: 0 done, 1 refused or failed, 2 wrong usage.
func run(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root := newRootCommand()
	root.SetArgs(args)
	started := watchStart(root)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	_, usage := errors.AsType[usageError](err)
	text := err.Error()
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		text = "interrupted"
	}
	if !usage && !*started { // cobra says what is wrong and not the cure
		text += "; see --help"
	}
	fmt.Fprintln(os.Stderr, "risknet: "+text)
	if usage || !*started {
		return 2
	}
	return 1
}
