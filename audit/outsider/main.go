// Command outsider verifies a network's ledger without trusting this project: it
// imports nothing of it. What it knows is C2SP's tlog-tiles and signed notes, from
// golang.org/x/mod, and the key of one node.
//
//	go run ./audit/outsider -url https://HOST:PORT -ca ca.pem -cert tls.pem -key tls.key -log-key KEY [-since FILE] [-save FILE]
//
// It verifies the checkpoint's signature, that every entry is in the tree of that
// checkpoint, and, with -since, that the tree has only grown since a checkpoint
// that was saved before. Copy it, and read it: it is short so that you can.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

func main() {
	var o options
	flag.StringVar(&o.url, "url", "", "the node, https://HOST:PORT")
	flag.StringVar(&o.ca, "ca", "", "CA certificate file")
	flag.StringVar(&o.cert, "cert", "", "own certificate file")
	flag.StringVar(&o.key, "key", "", "key file of the certificate")
	flag.StringVar(&o.logKey, "log-key", "", "note verifier key of the node")
	flag.StringVar(&o.since, "since", "", "checkpoint file that was saved before")
	flag.StringVar(&o.save, "save", "", "file to save the checkpoint in")
	flag.Parse()
	if err := run(o, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "outsider:", err)
		os.Exit(1)
	}
}

type options struct{ url, ca, cert, key, logKey, since, save string }

func run(o options, out io.Writer) error {
	log, err := connect(o)
	if err != nil {
		return err
	}
	signed, err := log.get("checkpoint")
	if err != nil {
		return err
	}
	tree, err := open(signed, o.logKey)
	if err != nil {
		return err
	}
	tiles := tlog.TileHashReader(tree, log)
	for index := int64(0); index < tree.N; index++ {
		entry, err := log.entry(index, tree.N)
		if err != nil {
			return err
		}
		proof, err := tlog.ProveRecord(tree.N, index, tiles)
		if err != nil {
			return fmt.Errorf("leaf %d: %w", index, err)
		}
		if err := tlog.CheckRecord(proof, tree.N, tree.Hash, index, tlog.RecordHash(entry)); err != nil {
			return fmt.Errorf("leaf %d: %w", index, err)
		}
	}
	fmt.Fprintf(out, "%d leaves are in the tree of root %x\n", tree.N, tree.Hash[:])
	if err := o.compare(tree, tiles, out); err != nil || o.save == "" {
		return err
	}
	return os.WriteFile(o.save, signed, 0o600)
}

// compare proves that the tree begins with all leaves of an older one.
func (o *options) compare(tree tlog.Tree, tiles tlog.HashReader, out io.Writer) error {
	if o.since == "" {
		return nil
	}
	saved, err := os.ReadFile(o.since)
	if err != nil {
		return err
	}
	old, err := open(saved, o.logKey)
	if err != nil {
		return fmt.Errorf("%s: %w", o.since, err)
	}
	proof, err := tlog.ProveTree(tree.N, old.N, tiles)
	if err == nil {
		err = tlog.CheckTree(proof, tree.N, tree.Hash, old.N, old.Hash)
	}
	if err != nil {
		return fmt.Errorf("the tree of %d leaves does not begin with the %d of %s: %w", tree.N, old.N, o.since, err)
	}
	fmt.Fprintf(out, "they begin with the %d leaves of %s\n", old.N, o.since)
	return nil
}

// open verifies a checkpoint: a signed note of origin, size and root.
func open(signed []byte, key string) (tlog.Tree, error) {
	verifier, err := note.NewVerifier(key)
	if err != nil {
		return tlog.Tree{}, err
	}
	n, err := note.Open(signed, note.VerifierList(verifier))
	if err != nil {
		return tlog.Tree{}, err
	}
	var tree tlog.Tree
	var origin, root string
	if _, err := fmt.Sscanf(n.Text, "%s\n%d\n%s\n", &origin, &tree.N, &root); err != nil {
		return tlog.Tree{}, fmt.Errorf("checkpoint: %w", err)
	}
	if origin != verifier.Name() {
		return tlog.Tree{}, fmt.Errorf("checkpoint is of log %q, the key of %q", origin, verifier.Name())
	}
	tree.Hash, err = tlog.ParseHash(root)
	return tree, err
}

// server is a node's HTTP side.
type server struct {
	http http.Client
	url  string

	bundle  [][]byte // the entries of the last bundle that was asked for
	bundleN int64
}

func connect(o options) (*server, error) {
	ca, err := os.ReadFile(o.ca)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	cert, err := tls.LoadX509KeyPair(o.cert, o.key)
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: pool, Certificates: []tls.Certificate{cert}}}
	return &server{url: o.url, bundleN: -1, http: http.Client{Transport: transport, Timeout: 30 * time.Second}}, nil
}

func (s *server) get(path string) ([]byte, error) {
	resp, err := s.http.Get(s.url + "/" + path)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, 256<<16+1))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %s", path, resp.Status, data)
	}
	return data, err
}

// Height, ReadTiles and SaveTiles are what tlog asks of a source of tiles. The
// library itself verifies them.
func (s *server) Height() int { return 8 }

func (s *server) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	data := make([][]byte, len(tiles))
	for i, t := range tiles {
		var err error
		if data[i], err = s.get(path(fmt.Sprint(t.L), t.N, t.W)); err != nil {
			return nil, err
		}
	}
	return data, nil
}

func (s *server) SaveTiles([]tlog.Tile, [][]byte) {}

// entry gives one leaf out of its bundle of 256.
func (s *server) entry(index, size int64) ([]byte, error) {
	if n := index / 256; n != s.bundleN {
		width := int(min(256, size-n*256))
		data, err := s.get(path("entries", n, width))
		if err != nil {
			return nil, err
		}
		if s.bundle, err = apart(data, width); err != nil {
			return nil, fmt.Errorf("bundle %d: %w", n, err)
		}
		s.bundleN = n
	}
	return s.bundle[index%256], nil
}

func apart(data []byte, width int) ([][]byte, error) {
	entries := make([][]byte, width)
	for i := range entries {
		if len(data) < 2 || len(data)-2 < int(binary.BigEndian.Uint16(data)) {
			return nil, errors.New("is cut off")
		}
		n := 2 + int(binary.BigEndian.Uint16(data))
		entries[i], data = data[2:n], data[n:]
	}
	return entries, nil
}

// path is that of c2sp.org/tlog-tiles.
func path(level string, n int64, width int) string {
	text := fmt.Sprintf("%03d", n%1000)
	for n /= 1000; n > 0; n /= 1000 {
		text = fmt.Sprintf("x%03d/%s", n%1000, text)
	}
	if width < 256 {
		text += fmt.Sprintf(".p/%d", width)
	}
	return "tile/" + level + "/" + text
}
