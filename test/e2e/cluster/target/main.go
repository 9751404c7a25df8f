// Command target is the server under load in docker-compose.yml. It answers everything with 204, and counts
// arrivals for the tests; see package counter.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"proofload/test/e2e/cluster/counter"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	flags := flag.NewFlagSet("target", flag.ContinueOnError)
	listen := flags.String("listen", "0.0.0.0:8080", "address to listen on")
	// An image FROM scratch has no other program that could ask.
	check := flags.String("check", "", "ask this URL, and end with 0 if it answers")
	if err := flags.Parse(args); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if *check != "" {
		return ask(ctx, *check)
	}
	server := &http.Server{Addr: *listen, Handler: &counter.Runs{}, ReadHeaderTimeout: 10 * time.Second}
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func ask(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}
