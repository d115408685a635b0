package consensus

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"math"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// recorder is a server that keeps what it gets and answers nothing.
type recorder struct {
	net.Conn
	got bytes.Buffer
}

func (r *recorder) Write(p []byte) (int, error)                              { return r.got.Write(p) }
func (r *recorder) Read([]byte) (int, error)                                 { return 0, io.EOF }
func (r *recorder) Close() error                                             { return nil }
func (r *recorder) SetDeadline(time.Time) error                              { return nil }
func (r *recorder) Addr() net.Addr                                           { return address("") }
func (r *recorder) Accept() (net.Conn, error)                                { return nil, net.ErrClosed }
func (r *recorder) Dial(raft.ServerAddress, time.Duration) (net.Conn, error) { return r, nil }

// sent is what raft's transport sends for a few messages of all kinds.
func sent(t testing.TB) []byte {
	t.Helper()
	r := new(recorder)
	trans := raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{Stream: r, Timeout: time.Second,
		Logger: newBridge(slog.New(slog.DiscardHandler)), MsgpackUseNewTimeFormat: true})
	defer trans.Close()
	conf := raft.EncodeConfiguration(raft.Configuration{Servers: []raft.Server{{ID: "a", Address: "a:1"}}})
	header := raft.RPCHeader{ProtocolVersion: 3, ID: []byte("a"), Addr: []byte("a:1")}
	entries := make([]*raft.Log, maxAppendEntries)
	for i := range entries {
		entries[i] = &raft.Log{Index: 5 + uint64(i), Term: math.MaxUint64, Data: bytes.Repeat([]byte{1}, 30*i), AppendedAt: time.Unix(1, 2), Extensions: []byte("x")}
	}
	image := strings.Repeat("\xff", 700)
	for _, err := range []error{ // each finds no answer
		trans.AppendEntries("b", "b:1", &raft.AppendEntriesRequest{RPCHeader: header, Term: 1}, new(raft.AppendEntriesResponse)),
		trans.AppendEntries("b", "b:1", &raft.AppendEntriesRequest{RPCHeader: header, Term: 1, Entries: entries}, new(raft.AppendEntriesResponse)),
		trans.RequestVote("b", "b:1", &raft.RequestVoteRequest{RPCHeader: header, Term: 1 << 40}, new(raft.RequestVoteResponse)),
		trans.InstallSnapshot("b", "b:1", &raft.InstallSnapshotRequest{RPCHeader: header, SnapshotVersion: 1, Term: 1, Configuration: conf, Size: int64(len(image))},
			new(raft.InstallSnapshotResponse), strings.NewReader(image)),
		trans.TimeoutNow("b", "b:1", &raft.TimeoutNowRequest{RPCHeader: header}, new(raft.TimeoutNowResponse)),
		trans.RequestPreVote("b", "b:1", &raft.RequestPreVoteRequest{RPCHeader: header, Term: 7}, new(raft.RequestPreVoteResponse)),
	} {
		if !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
	}
	return r.got.Bytes()
}

// What servers send passes, wherever the network cuts it into pieces.
func TestScannerPassesWhatServersSend(t *testing.T) {
	all := sent(t)
	for _, size := range []int{1, 2, 3, 17, 4096, len(all)} {
		s := scanner{limits: ofRequests}
		for rest := all; len(rest) > 0; {
			n := min(size, len(rest))
			if err := s.scan(rest[:n]); err != nil {
				t.Fatalf("in pieces of %d: %v", size, err)
			}
			rest = rest[n:]
		}
		if s.begun || s.rest != 0 || len(s.left) != 0 {
			t.Errorf("in pieces of %d: the last message has not ended: %+v", size, s)
		}
	}
}

func TestScannerRefusesWhatNoServerSends(t *testing.T) {
	long := func(head string, n uint32) string { return head + string(binary.BigEndian.AppendUint32(nil, n)) }
	image := "\x02\x81\xa4Size"
	for name, message := range map[string]string{
		"an unknown type":                 "\x05",
		"no map":                          "\x00\x91\x01",
		"a text of 66 MiB":                long("\x00\x81\xa4Data\xc6", 66<<20),
		"a key of 4 GiB":                  long("\x00\x81\xdb", math.MaxUint32),
		"an extension of 4 GiB":           long("\x00\x81\xa4Data\xc9", math.MaxUint32),
		"a million entries":               long("\x00\x81\xa7Entries\xdd", 1e6),
		"a map of a million":              long("\x00\xdf", 1e6),
		"lists in lists":                  "\x00\x81\xa1x" + strings.Repeat("\x91", 20),
		"a byte that is no value":         "\x00\x81\xa1x\xc1",
		"an image of less than nothing":   image + "\xd3\xff\xff\xff\xff\xff\xff\xff\xff",
		"an image of more than there is":  image + "\xcf\xff\xff\xff\xff\xff\xff\xff\xff",
		"an image whose size is a text":   image + "\xa1x",
		"an image longer than it said":    image + "\x03abcd",
		"twenty megabytes of small texts": "\x00\x81\xa7Entries\xdc\x00\x40" + strings.Repeat(long("\x81\xa4Data\xc6", 1<<20)+strings.Repeat("x", 1<<20), 20),
	} {
		s := scanner{limits: ofRequests}
		if err := s.scan([]byte(message)); err == nil {
			t.Errorf("%s passes", name)
		}
	}
}

// What is called Size elsewhere than in an image, or is no key there, opens no door
// for bytes that nobody counts.
func TestScannerIsNotTalkedIntoAnImage(t *testing.T) {
	for name, message := range map[string]string{
		"in another message":     "\x00\x81\xa4Size\x64",
		"as a value":             "\x02\x82\xa1x\xa4Size\xa1y\x64",
		"deeper":                 "\x02\x81\xa1x\x81\xa4Size\x64",
		"behind a list":          "\x02\x82\xa4Sizf\x91\x01\xa1x\x64",
		"and less the next time": "\x02\x82\xa4Size\x64\xa4Size\x00",
	} {
		s := scanner{limits: ofRequests}
		if err := s.scan([]byte(message)); err != nil || s.begun {
			t.Errorf("%s: %v", name, err)
		}
		if s.rest != 0 {
			t.Errorf("%s: %d bytes would pass", name, s.rest)
		}
	}
}

func FuzzScanner(f *testing.F) {
	f.Add(sent(f), 7)
	f.Add([]byte("\x02\x81\xa4Size\x03abc"), 1)
	f.Fuzz(func(t *testing.T, data []byte, cut int) {
		whole, parts := scanner{limits: ofRequests}, scanner{limits: ofRequests}
		cut = max(0, min(cut, len(data)))
		err := whole.scan(data)
		inParts := parts.scan(data[:cut])
		if inParts == nil {
			inParts = parts.scan(data[cut:])
		}
		if (err == nil) != (inParts == nil) || err == nil && (whole.rest != parts.rest || whole.used != parts.used) {
			t.Fatalf("as a whole %v, in parts %v", err, inParts)
		}
		if len(whole.left) > maxDepth || whole.skip > ofRequests.text+1 || len(whole.text) > maxKey || len(whole.head) > 9 {
			t.Fatalf("the scanner holds %+v", whole)
		}
	})
}
