package audit

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/risknet/risknet/ledger"
	"github.com/risknet/risknet/risk"
)

// Log is a ledger as one node serves it (c2sp.org/tlog-tiles). Nothing that it
// gives is believed by itself.
type Log struct {
	address  string
	origin   string
	verifier ledger.Verifier
	http     *http.Client

	mu    sync.Mutex
	tiles map[ledger.Tile][]byte // hash tiles that were fetched
}

// OpenLog prepares to read the ledger at host:port, whose node signs with a key
// that is given as a note verifier key.
func OpenLog(address, logKey string, config *tls.Config) (*Log, error) {
	if address == "" {
		return nil, errors.New("profile: http: is missing; give the address of the node's HTTP side")
	}
	if logKey == "" {
		return nil, errors.New("profile: log_key: is missing; give the note verifier key of the node at http")
	}
	verifier, err := ledger.ParseVerifier(logKey)
	if err != nil {
		return nil, err
	}
	return newLog(address, verifier, config), nil
}

func newLog(address string, verifier ledger.Verifier, config *tls.Config) *Log {
	transport := &http.Transport{TLSClientConfig: config.Clone(), MaxIdleConnsPerHost: ahead, ForceAttemptHTTP2: true,
		TLSHandshakeTimeout: 10 * time.Second, ResponseHeaderTimeout: time.Minute, IdleConnTimeout: time.Minute,
		HTTP2: &http.HTTP2Config{SendPingTimeout: 10 * time.Second, PingTimeout: 10 * time.Second}}
	return &Log{address: address, origin: verifier.Name(), verifier: verifier,
		http: &http.Client{Transport: transport}, tiles: map[ledger.Tile][]byte{}}
}

// Close ends idle connections.
func (l *Log) Close() { l.http.CloseIdleConnections() }

// Origin is the name of the ledger.
func (l *Log) Origin() string { return l.origin }

// Signed is a checkpoint that a node has signed.
type Signed struct {
	ledger.Checkpoint
	Note []byte
}

// Checkpoint asks the node for its newest checkpoint and verifies its signature.
func (l *Log) Checkpoint(ctx context.Context) (*Signed, error) {
	note, err := l.get(ctx, "checkpoint", 64<<10)
	if err != nil {
		return nil, err
	}
	c, _, err := ledger.OpenCheckpoint(note, l.origin, l.verifier)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", l.address, err)
	}
	return &Signed{c, note}, nil
}

// open reads a checkpoint that was saved earlier.
func (l *Log) open(note []byte) (*Signed, error) {
	c, _, err := ledger.OpenCheckpoint(note, l.origin, l.verifier)
	return &Signed{c, note}, err
}

// Tile gives the bytes of a hash tile.
func (l *Log) Tile(ctx context.Context, t ledger.Tile) ([]byte, error) {
	l.mu.Lock()
	data, ok := l.tiles[t]
	l.mu.Unlock()
	if ok {
		return data, nil
	}
	data, err := l.get(ctx, t.Path(), ledger.TileWidth*32)
	if err == nil && len(data) != t.Width*32 {
		err = &BadTile{t, fmt.Sprintf("has %d bytes, not %d", len(data), t.Width*32)}
	}
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.tiles) >= keptTiles {
		clear(l.tiles)
	}
	l.tiles[t] = data
	return data, nil
}

// Hashes reads the tree of a checkpoint; every hash is held to its root.
func (l *Log) Hashes(ctx context.Context, c ledger.Checkpoint) ledger.HashReader {
	return ledger.TileHashes(c.Size, c.Root, func(t ledger.Tile) ([]byte, error) { return l.Tile(ctx, t) })
}

// keptTiles bounds what a log remembers: 8 KiB each.
const keptTiles = 4096

// leafHashes gives a tile of leaf hashes, held to the root.
func (l *Log) leafHashes(ctx context.Context, c ledger.Checkpoint, t ledger.Tile) ([]ledger.Hash, error) {
	indexes, hashes := make([]uint64, t.Width), make([]ledger.Hash, t.Width)
	for i := range indexes {
		indexes[i] = ledger.StoredIndex(0, t.Index*ledger.TileWidth+uint64(i))
	}
	var unread error // what could not be looked at accuses nobody
	tiles := ledger.TileHashes(c.Size, c.Root, func(t ledger.Tile) ([]byte, error) {
		data, err := l.Tile(ctx, t)
		if err != nil {
			unread = err
		}
		return data, err
	})
	if err := tiles(indexes, hashes); unread != nil {
		return nil, unread
	} else if err != nil {
		return nil, &BadTile{t, fmt.Sprintf("or one above it does not lead to the root of the checkpoint (%v)", err)}
	}
	return hashes, nil
}

// hold compares neighbouring leaves of one bundle with the tree of a checkpoint.
func (l *Log) hold(ctx context.Context, c ledger.Checkpoint, first uint64, leaves [][]byte) error {
	hashes, err := l.leafHashes(ctx, c, tileOf(first, c.Size))
	if err != nil {
		return err
	}
	for i, leaf := range leaves {
		if ledger.LeafHash(leaf) != hashes[first%ledger.TileWidth+uint64(i)] {
			return &BadLeaf{first + uint64(i), "what is served is not what the tree of the checkpoint holds"}
		}
	}
	return nil
}

// ahead is how many bundles of leaves are fetched at a time.
const ahead = 8

// bundle is 256 leaves, or as many as the tree has.
type bundle struct {
	first  uint64
	leaves [][]byte
	err    error
}

// Leaves visits the leaves from one index up to a size, in their order.
func (l *Log) Leaves(ctx context.Context, from, size uint64, visit func(first uint64, leaves [][]byte) error) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	queue := make(chan chan bundle, ahead)
	go func() {
		defer close(queue)
		for n := from / ledger.TileWidth; n*ledger.TileWidth < size; n++ {
			one := make(chan bundle, 1)
			select {
			case queue <- one:
			case <-ctx.Done():
				return
			}
			go func() { one <- l.bundle(ctx, n, size) }()
		}
	}()
	for one := range queue {
		b := <-one
		if b.err != nil {
			return b.err
		}
		skip := uint64(0)
		if from > b.first {
			skip = from - b.first
		}
		if err := visit(b.first+skip, b.leaves[skip:]); err != nil {
			return err
		}
	}
	return ctx.Err()
}

func (l *Log) bundle(ctx context.Context, n, size uint64) bundle {
	first := n * ledger.TileWidth
	t := ledger.Tile{Level: ledger.Entries, Index: n, Width: int(min(ledger.TileWidth, size-first))}
	data, err := l.get(ctx, t.Path(), ledger.TileWidth*(2+ledger.MaxEntry))
	if err != nil {
		return bundle{err: err}
	}
	leaves, err := ledger.DecodeEntries(data, t.Width)
	if err != nil {
		err = fmt.Errorf("%s: %w", t.Path(), err)
	}
	return bundle{first, leaves, err}
}

// Bodies gives the bodies of a leaf's items, those that are still kept.
func (l *Log) Bodies(ctx context.Context, leaf uint64) ([]risk.Body, error) {
	data, err := l.get(ctx, fmt.Sprintf("bodies/%d", leaf), risk.MaxEntryBytes)
	if err != nil {
		return nil, err
	}
	return risk.DecodeBodies(data)
}

// Records streams every record of the node's state, in the order of their keys.
// Begin hears first which state it is.
func (l *Log) Records(ctx context.Context, begin func(risk.Head) error, visit func(key, value []byte) error) error {
	body, err := l.ask(ctx, "state/records")
	if err != nil {
		return err
	}
	defer body.Close()
	in := bufio.NewReaderSize(body, 64<<10)
	var head [40]byte
	if _, err := io.ReadFull(in, head[:]); err != nil {
		return fmt.Errorf("%s: records: %w", l.address, err)
	}
	if err := begin(risk.Head{Size: binary.BigEndian.Uint64(head[:]), Root: risk.Hash(head[8:])}); err != nil {
		return err
	}
	for n := uint64(0); ; n++ {
		key, value, err := readRecord(in, n)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s: records: %w", l.address, err)
		}
		if err := visit(key, value); err != nil {
			return err
		}
	}
}

// readRecord gives io.EOF at the proper end of the stream alone.
func readRecord(in *bufio.Reader, before uint64) (key, value []byte, err error) {
	var number [8]byte
	if _, err := io.ReadFull(in, number[:2]); err != nil {
		return nil, nil, brokenOff(err)
	}
	switch n := binary.BigEndian.Uint16(number[:]); n {
	case 0:
		if _, err := io.ReadFull(in, number[:]); err != nil {
			return nil, nil, brokenOff(err)
		}
		if sent := binary.BigEndian.Uint64(number[:]); sent != before {
			return nil, nil, fmt.Errorf("%d came of %d", before, sent)
		}
		return nil, nil, io.EOF
	case 0xffff:
		text, _ := io.ReadAll(io.LimitReader(in, 4<<10))
		return nil, nil, fmt.Errorf("after %d records the node says: %q", before, text)
	default:
		key = make([]byte, n)
	}
	if _, err := io.ReadFull(in, key); err != nil {
		return nil, nil, brokenOff(err)
	}
	if _, err := io.ReadFull(in, number[:4]); err != nil {
		return nil, nil, brokenOff(err)
	}
	size := binary.BigEndian.Uint32(number[:])
	if size > risk.MaxEntryBytes {
		return nil, nil, fmt.Errorf("record %x is said to have %d bytes", key, size)
	}
	value = make([]byte, size)
	if _, err := io.ReadFull(in, value); err != nil {
		return nil, nil, brokenOff(err)
	}
	return key, value, nil
}

func brokenOff(err error) error {
	if errors.Is(err, io.EOF) {
		return errors.New("the stream broke off")
	}
	return err
}

// VerifyItself has the node read its whole state and ledger once, with all that an
// auditor does not see (indexes, bodies, the tree on disk).
func (l *Log) VerifyItself(ctx context.Context) error {
	text, err := l.get(ctx, "state/verify", 4<<10)
	if err != nil {
		return err
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	if last := lines[len(lines)-1]; !strings.HasPrefix(last, "ok") {
		return fmt.Errorf("%s says of itself: %q", l.address, last)
	}
	return nil
}

func (l *Log) get(ctx context.Context, path string, limit int64) ([]byte, error) {
	body, err := l.ask(ctx, path)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	data, err := io.ReadAll(io.LimitReader(body, limit+1))
	if err != nil {
		return nil, fmt.Errorf("%s/%s: %w", l.address, path, err)
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("%s/%s: is longer than %d bytes", l.address, path, limit)
	}
	return data, nil
}

// askPatience is how long a node may put us off.
const askPatience = 30 * time.Second

// ask asks again when the node says so: one that was brought up by an image
// fetches the ledger before it.
func (l *Log) ask(ctx context.Context, path string) (io.ReadCloser, error) {
	for waited := time.Duration(0); ; {
		body, after, err := l.askOnce(ctx, path)
		if waited += after; after == 0 || waited > askPatience {
			return body, err
		}
		select {
		case <-time.After(after):
		case <-ctx.Done():
			return nil, fmt.Errorf("%w; %w", err, context.Cause(ctx))
		}
	}
}

// askOnce says with an error after what time to ask again, if at all.
func (l *Log) askOnce(ctx context.Context, path string) (body io.ReadCloser, after time.Duration, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+l.address+"/"+path, nil)
	if err != nil {
		return nil, 0, err
	}
	resp, err := l.http.Do(req)
	if err != nil {
		return nil, 0, err
	}
	if resp.StatusCode == http.StatusOK {
		return resp.Body, 0, nil
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
	text = bytes.TrimSpace(text)
	switch {
	case resp.Header.Get("Risknet-Diverged") != "":
		return nil, 0, &silentError{string(text)}
	case resp.StatusCode == http.StatusForbidden:
		return nil, 0, &ForbiddenError{string(text)}
	case resp.StatusCode == http.StatusServiceUnavailable:
		seconds, _ := strconv.ParseUint(resp.Header.Get("Retry-After"), 10, 16) // 0: not said
		after = time.Duration(seconds) * time.Second
	}
	return nil, after, fmt.Errorf("%s/%s: %s: %s", l.address, path, resp.Status, text)
}

// ForbiddenError says why a node does not show something to this caller.
type ForbiddenError struct{ Text string }

func (e *ForbiddenError) Error() string { return e.Text }

// silentError is the word of a node that signs nothing any more.
type silentError struct{ text string }

func (e *silentError) Error() string { return e.text }
