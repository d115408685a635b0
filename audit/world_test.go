package audit

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/risknet/risknet/client"
	"github.com/risknet/risknet/ledger"
	"github.com/risknet/risknet/node"
	"github.com/risknet/risknet/risk"
	"github.com/risknet/risknet/rules/industry"
	"github.com/risknet/risknet/testnet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a network with listings, and its auditor.
type world struct {
	t       *testing.T
	ctx     context.Context
	net     *testnet.Local
	profile *client.Profile
	tls     *tls.Config
	id      risk.Hash
}

func newWorld(t *testing.T, nodes, listings int) *world {
	t.Helper()
	return newWorldIn(t, nodes, listings, nil)
}

// newWorldIn has nodes whose clocks, say, are not right.
func newWorldIn(t *testing.T, nodes, listings int, environment func(string) node.Environment) *world {
	t.Helper()
	patience := 90 * time.Second
	if listings > 10_000 {
		patience = 10 * time.Minute
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	net, err := testnet.NewLocal(ctx, testnet.Options{Dir: t.TempDir(), Nodes: nodes, Voters: nodes, Now: time.Now(), Rules: industry.Source, Environment: environment}, slog.New(slog.DiscardHandler))
	t.Cleanup(func() {
		defer cancel()
		if net != nil {
			if err := net.Stop(); err != nil {
				t.Errorf("stop: %v", err)
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, ctx: ctx, net: net, id: net.Plan.ID}
	w.profile, err = client.LoadProfile(net.Plan.Profiles["auditor"])
	w.must(err)
	w.tls, err = w.profile.TLS()
	w.must(err)
	w.list("member-1", listings, 0)
	w.settle()
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// list reports so many addresses, from some number on.
func (w *world) list(profile string, count, from int) {
	w.t.Helper()
	c, err := w.net.Client(profile, "")
	w.must(err)
	defer c.Close()
	author, err := client.NewAuthor(w.ctx, c)
	w.must(err)
	keys, err := c.Keyring(w.ctx)
	w.must(err)
	var text bytes.Buffer
	for i := from; i < from+count; i++ {
		fmt.Fprintf(&text, "10.%d.%d.%d\n", i>>16, i>>8&255, i&255)
	}
	template := client.NewReport(risk.KindIP, time.Now())
	lines, err := template.OpenRows(&text, time.Time{}, client.RowOptions{Format: client.FormatValues, Identity: "ip"})
	w.must(err)
	importer := &client.Importer{Template: template, Keys: keys, To: author, Reject: func(r client.Reject) error { return fmt.Errorf("%+v", r) }}
	result, err := importer.Run(w.ctx, lines)
	w.must(err)
	if result.Accepted != count {
		w.t.Fatalf("of %d addresses %d were accepted", count, result.Accepted)
	}
}

func (w *world) log() *Log {
	w.t.Helper()
	log, err := OpenLog(w.profile.HTTP, w.profile.LogKey, w.tls)
	w.must(err)
	w.t.Cleanup(log.Close)
	return log
}

// settle waits until the node has signed all that any node has.
func (w *world) settle() {
	w.t.Helper()
	log, size := w.log(), uint64(0)
	for _, n := range w.net.Plan.Nodes {
		size = max(size, w.net.Node(n.Name).Head().Size)
	}
	w.await("a checkpoint of all leaves", func() bool {
		signed, err := log.Checkpoint(w.ctx)
		return err == nil && signed.Size >= size
	})
}

func (w *world) await(what string, holds func() bool) {
	w.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-w.ctx.Done():
			w.t.Fatalf("did not come: %s", what)
		}
	}
}

func (w *world) options(bodies bool) Options {
	return Options{Network: w.id, Bodies: bodies, Dir: w.t.TempDir()}
}

// through gives the ledger as somebody in between passes it on.
func (w *world) through(edit func(path string, data []byte) []byte) *Log {
	w.t.Helper()
	behind := w.log()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		body, err := behind.ask(r.Context(), strings.TrimPrefix(r.URL.Path, "/"))
		if err != nil {
			http.Error(out, err.Error(), http.StatusNotFound)
			return
		}
		defer body.Close()
		data, err := io.ReadAll(body)
		if err != nil {
			http.Error(out, err.Error(), http.StatusBadGateway)
			return
		}
		_, _ = out.Write(edit(r.URL.Path, data))
	}))
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	server.StartTLS()
	w.t.Cleanup(server.Close)
	ca := filepath.Join(w.t.TempDir(), "ca.pem")
	w.must(os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600))
	profile := *w.profile
	profile.CA = ca
	config, err := profile.TLS()
	w.must(err)
	config.VerifyConnection = nil // who is in between is no node
	log, err := OpenLog(strings.TrimPrefix(server.URL, "https://"), w.profile.LogKey, config)
	w.must(err)
	w.t.Cleanup(log.Close)
	return log
}

// leafAt gives the bytes of a leaf within a bundle that is being passed on.
func leafAt(t *testing.T, bundle []byte, at int) []byte {
	t.Helper()
	for range at {
		bundle = bundle[2+int(bundle[0])<<8+int(bundle[1]):]
	}
	return bundle[2 : 2+int(bundle[0])<<8+int(bundle[1])]
}

// forge serves a history of somebody's own making, signed with a node's own key.
func (w *world) forge(by int, leaves [][]byte) *Log {
	w.t.Helper()
	var edge ledger.Edge
	var stored []ledger.Hash
	for _, leaf := range leaves {
		stored = edge.Append(stored, ledger.LeafHash(leaf))
	}
	read := func(indexes []uint64, into []ledger.Hash) error {
		for i, index := range indexes {
			into[i] = stored[index]
		}
		return nil
	}
	log := w.log()
	note := w.sign(by, ledger.Checkpoint{Origin: log.origin, Size: edge.Size(), Root: edge.Root()})
	forged := w.through(func(path string, data []byte) []byte {
		if path == "/checkpoint" {
			return note
		}
		tile, err := ledger.ParseTile(strings.TrimPrefix(path, "/"))
		if err != nil {
			return data
		}
		if tile.Level == ledger.Entries {
			data, err = ledger.EncodeEntries(leaves[tile.Index*ledger.TileWidth:][:tile.Width])
		} else {
			data, err = ledger.HashTile(tile, read)
		}
		if err != nil {
			w.t.Errorf("%s: %v", path, err)
		}
		return data
	})
	forged.verifier = w.verifierOf(by)
	return forged
}

// leaves reads the whole ledger.
func (w *world) leaves() (all [][]byte) {
	w.t.Helper()
	log := w.log()
	signed, err := log.Checkpoint(w.ctx)
	w.must(err)
	w.must(log.Leaves(w.ctx, 0, signed.Size, func(_ uint64, leaves [][]byte) error {
		for _, leaf := range leaves {
			all = append(all, bytes.Clone(leaf))
		}
		return nil
	}))
	return all
}
