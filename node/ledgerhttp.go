package node

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/risknet/risknet/ledger"
	"github.com/risknet/risknet/risk"
	"github.com/risknet/risknet/store"
)

// serveLedger serves the ledger as c2sp.org/tlog-tiles says, and beside it the
// two things that an audit needs and an outsider must not have: bodies and
// records.
func (n *Node) serveLedger(mux *routes) {
	mux.HandleFunc("GET /checkpoint", n.serveCheckpoint)
	mux.HandleFunc("GET /tile/", n.serveTile)
	mux.HandleFunc("GET /bodies/{leaf}", n.serveBodies)
	mux.HandleFunc("GET /state/records", n.serveRecords)
	mux.HandleFunc("GET /state/verify", n.serveVerify)
}

func (n *Node) serveCheckpoint(w http.ResponseWriter, r *http.Request) {
	head := n.freshCheckpoint(r.Context())
	if why := n.checkpoints.diverged.Load(); why != nil {
		w.Header().Set("Risknet-Diverged", "1")
		http.Error(w, "checkpoint: "+(*why).Error(), http.StatusServiceUnavailable)
		return
	}
	if head == nil {
		http.Error(w, "checkpoint: nothing is signed yet; ask again in a second", http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-cache")
	_, _ = w.Write(head.text())
}

// serveTile: a tile of the specification never changes, so it may be kept for ever.
func (n *Node) serveTile(w http.ResponseWriter, r *http.Request) {
	tile, err := ledger.ParseTile(strings.TrimPrefix(r.URL.Path, "/"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	if size := n.Head().Size; !tile.Within(size) {
		http.Error(w, fmt.Sprintf("%s is not within the %d leaves of this ledger", tile.Path(), size), http.StatusNotFound)
		return
	}
	data, err := n.tile(tile)
	if errors.Is(err, store.ErrNotHeld) {
		w.Header().Set("Retry-After", "1")
		http.Error(w, fmt.Sprintf("%v: from leaf %d on; the rest is on its way, or ask another node", err, n.store.LedgerFrom()), http.StatusServiceUnavailable)
		return
	}
	if err != nil {
		n.log.Error("alarm", "error", fmt.Errorf("%s: %w", tile.Path(), err))
		http.Error(w, tile.Path()+" cannot be read here", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	_, _ = w.Write(data)
}

func (n *Node) tile(tile ledger.Tile) ([]byte, error) {
	if tile.Level != ledger.Entries {
		first := tile.Index * ledger.TileWidth << (8 * tile.Level)
		if first < n.store.LedgerFrom() {
			return nil, store.ErrNotHeld
		}
		return ledger.HashTile(tile, n.store.Hashes)
	}
	leaves := make([][]byte, tile.Width)
	for i := range leaves {
		var err error
		leaves[i], err = n.store.Leaf(tile.Index*ledger.TileWidth + uint64(i))
		if err != nil {
			return nil, err
		}
		if leaves[i] == nil {
			return nil, store.ErrNotHeld
		}
	}
	return ledger.EncodeEntries(leaves)
}

// serveBodies gives the bodies of one leaf's items, those that are still kept. See
// risk.EncodeBodies.
func (n *Node) serveBodies(w http.ResponseWriter, r *http.Request) {
	index, err := strconv.ParseUint(r.PathValue("leaf"), 10, 64)
	if err != nil || index >= n.Head().Size {
		http.Error(w, fmt.Sprintf("%q is not a leaf of this ledger of %d", r.PathValue("leaf"), n.Head().Size), http.StatusNotFound)
		return
	}
	bodies, err := n.store.Bodies(index)
	if errors.Is(err, store.ErrNotHeld) {
		w.Header().Set("Retry-After", "1")
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	if err != nil {
		n.log.Error("alarm", "error", fmt.Errorf("bodies of leaf %d: %w", index, err))
		http.Error(w, "the bodies cannot be read here", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write(risk.EncodeBodies(bodies))
}

// recordsPatience is how long the caller of a scan may take none of it: it keeps a
// version of the state.
const recordsPatience = 30 * time.Second

// serveRecords streams every replicated record of one version:
//
//	u64 size | root 32 | { u16 key | u32 value } | u16 0 | u64 records
//
// A scan that fails ends with u16 65535 | text in place of the number.
func (n *Node) serveRecords(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Cache-Control", "no-store")
	out := &recordWriter{w: bufio.NewWriterSize(w, 64<<10), control: http.NewResponseController(w)}
	err := n.store.Records(r.Context(), out.begin, out.record)
	if err != nil {
		n.log.Error("alarm", "error", fmt.Errorf("records: %w", err))
	}
	out.end(err)
}

type recordWriter struct {
	w       *bufio.Writer
	control *http.ResponseController
	written uint64
}

func (o *recordWriter) begin(head risk.Head) error {
	_ = o.control.SetWriteDeadline(time.Now().Add(recordsPatience))
	_, err := o.w.Write(append(binary.BigEndian.AppendUint64(nil, head.Size), head.Root[:]...))
	return err
}

func (o *recordWriter) record(key, value []byte) error {
	if o.written++; o.written%1024 == 0 {
		_ = o.control.SetWriteDeadline(time.Now().Add(recordsPatience))
	}
	head := binary.BigEndian.AppendUint16(nil, uint16(len(key)))
	head = append(head, key...)
	head = binary.BigEndian.AppendUint32(head, uint32(len(value)))
	_, err := o.w.Write(append(head, value...))
	return err
}

func (o *recordWriter) end(err error) {
	switch {
	case err == nil:
		_, _ = o.w.Write(binary.BigEndian.AppendUint64([]byte{0, 0}, o.written))
	case !errors.Is(err, context.Canceled):
		_, _ = o.w.Write(append([]byte{0xff, 0xff}, err.Error()...))
	}
	_ = o.w.Flush()
}

// serveVerify reads the whole state and ledger once, with what no record shows:
// indexes, bodies and the tree on disk. One at a time. The last line of the answer
// begins with "ok" or "wrong".
func (n *Node) serveVerify(w http.ResponseWriter, r *http.Request) {
	if !n.verifying.TryLock() {
		http.Error(w, "a verification is under way; ask again when it has ended", http.StatusConflict)
		return
	}
	defer n.verifying.Unlock()
	control := http.NewResponseController(w)
	_ = control.SetWriteDeadline(time.Time{}) // it takes as long as the state is large
	fmt.Fprintln(w, "reading")
	_ = control.Flush()
	seen, err := n.store.VerifyAll(r.Context())
	if err != nil {
		n.log.Error("alarm", "error", err)
		fmt.Fprintln(w, "wrong:", err)
		return
	}
	fmt.Fprintf(w, "ok: size %d, records %d, links %d, bodies %d, leaves %d\n", seen.Head.Size, seen.Records, seen.Links, seen.Bodies, seen.Leaves)
}
