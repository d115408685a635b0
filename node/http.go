package node

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// serveHTTP answers health, metrics and the ledger, over mutual TLS.
func (n *Node) serveHTTP(ctx context.Context) error {
	server := &http.Server{
		Handler:           n.admitHTTP(n.routes().mux),
		ReadHeaderTimeout: handshakePatience,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(n.log.Handler(), slog.LevelDebug), // strangers' handshakes
	}
	defer context.AfterFunc(ctx, func() {
		soon, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		_ = server.Shutdown(soon)
	})()
	err := server.Serve(tls.NewListener(n.listeners.http, n.creds.ServerTLS(atHTTP)))
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// routes are what the node answers to over HTTP.
type routes struct {
	mux      *http.ServeMux
	patterns []string
}

func (r *routes) HandleFunc(pattern string, handle http.HandlerFunc) {
	r.patterns = append(r.patterns, pattern)
	r.mux.HandleFunc(pattern, handle)
}

func (n *Node) routes() *routes {
	r := &routes{mux: http.NewServeMux()}
	r.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	r.HandleFunc("GET /readyz", n.readyz)
	r.HandleFunc("GET /metrics", promhttp.HandlerFor(n.metrics.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4}).ServeHTTP)
	n.serveLedger(r)
	return r
}

// callerOfHTTP gives the identity in the caller's certificate.
func callerOfHTTP(r *http.Request) Identity {
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return Identity{}
	}
	id, _ := IdentityOf(r.TLS.PeerCertificates[0]) // nobody's, if there is none
	return id
}

// readyz says whether this node may be asked: its view has caught up with what
// a leader with a quorum had committed, and is not older than its limit.
func (n *Node) readyz(w http.ResponseWriter, _ *http.Request) {
	if err := n.ready(); err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ok")
}

// neverFresh is more than any age: a view that was never known to be complete has
// the longest there is.
const neverFresh = 100 * 365 * 24 * time.Hour

func (n *Node) ready() error {
	if n.checker.Load().Head.Size == 0 {
		if why := n.waits.Load(); why != nil {
			return fmt.Errorf("not ready: %w", *why)
		}
		return errors.New("not ready: no network has been founded or joined")
	}
	if !n.founded.Load() {
		return errors.New("not ready: the founding commands are not all in")
	}
	if err := n.lacksKey(); err != nil {
		return fmt.Errorf("not ready: %w", err)
	}
	if why := n.checkpoints.diverged.Load(); why != nil {
		return fmt.Errorf("not ready: %w", *why)
	}
	if err := n.disk.hold(); err != nil && n.checker.Age() > n.cfg.Stale.MaxAge {
		return fmt.Errorf("not ready: %w", err)
	}
	if n.checker.Age() > neverFresh {
		return errors.New("not ready: the view has not yet been compared with a leader's")
	}
	if age := n.checker.Age(); age > n.cfg.Stale.MaxAge {
		return fmt.Errorf("not ready: the view is %s old, the limit is %s", age.Round(time.Millisecond), n.cfg.Stale.MaxAge)
	}
	return nil
}
