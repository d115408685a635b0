package main

import (
	"bytes"
	"context"
	"encoding/pem"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/risknet/risknet/client"
	"github.com/risknet/risknet/risk"
	"github.com/risknet/risknet/testnet"
)

// The outsider knows the two libraries and the profile of an auditor.
func TestOutsiderVerifiesALiveNetwork(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	net, err := testnet.NewLocal(ctx, testnet.Options{Dir: t.TempDir(), Nodes: 3, Voters: 3, Now: time.Now()}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := net.Stop(); err != nil {
			t.Error(err)
		}
	}()
	profile, err := client.LoadProfile(net.Plan.Profiles["auditor"])
	if err != nil {
		t.Fatal(err)
	}
	o := options{url: "https://" + profile.HTTP, ca: profile.CA, cert: profile.Certificate, key: profile.Key,
		logKey: profile.LogKey, save: filepath.Join(t.TempDir(), "checkpoint")}
	awaitSigned(t, ctx, o, 1)
	if err := run(o, io.Discard); err != nil {
		t.Fatalf("the first time: %v", err)
	}
	size := addLeaves(t, ctx, net, 300) // more than a tile
	awaitSigned(t, ctx, o, size)
	o.since = o.save
	var out bytes.Buffer
	if err := run(o, &out); err != nil {
		t.Fatalf("after 300 more: %v", err)
	}
	if !strings.Contains(out.String(), "begin with") {
		t.Errorf("said %q", out.String())
	}
	t.Run("one changed byte", func(t *testing.T) { changedBytes(t, o) })
}

// addLeaves sends as many small commands, and gives the size they reach.
func addLeaves(t *testing.T, ctx context.Context, net *testnet.Local, n int) uint64 {
	t.Helper()
	c, err := net.Client("hub", "")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	author, err := client.NewAuthor(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	record := &risk.PutNode{Node: risk.ID{1}, Name: "spare", Institution: "hub", Raft: "127.0.0.1:1", API: "127.0.0.1:2", HTTP: "127.0.0.1:3",
		Suffrage: risk.NonVoter, LogKey: risk.PublicKey{Algorithm: risk.Ed25519}}
	size := uint64(0)
	for range n {
		receipt, err := author.Do(ctx, record, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		size = receipt.Leaf + 1
	}
	return size
}

// awaitSigned waits for a checkpoint of at least so many leaves.
func awaitSigned(t *testing.T, ctx context.Context, o options, size uint64) {
	t.Helper()
	log, err := connect(o)
	if err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		if signed, err := log.get("checkpoint"); err == nil {
			if tree, err := open(signed, o.logKey); err == nil && uint64(tree.N) >= size {
				return
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal("no checkpoint was signed")
		}
	}
}

// changedBytes puts a server in between that changes one byte of what it passes on.
func changedBytes(t *testing.T, o options) {
	behind, err := connect(o)
	if err != nil {
		t.Fatal(err)
	}
	for name, match := range map[string]string{"checkpoint": "checkpoint", "hash tile": "tile/0/", "entries": "tile/entries/"} {
		server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			data, err := behind.get(strings.TrimPrefix(r.URL.Path, "/"))
			if err != nil {
				http.Error(w, err.Error(), http.StatusNotFound)
				return
			}
			if strings.Contains(r.URL.Path, match) {
				data[min(len(data)/2, 40)]++ // of a checkpoint, a byte of the root
			}
			_, _ = w.Write(data)
		}))
		ca := filepath.Join(t.TempDir(), "ca.pem")
		if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600); err != nil {
			t.Fatal(err)
		}
		through := o
		through.url, through.ca = server.URL, ca
		if err := run(through, io.Discard); err == nil {
			t.Errorf("%s: one changed byte is not noticed", name)
		}
		server.Close()
	}
}
