package store

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/risknet/risknet/risk"
)

// An import as consensus brings it: full commands of new subjects, four to a batch. It
// measures the CPU of everything that badger does behind it too, and the disk.
func BenchmarkBulkImport(b *testing.B) {
	const commands, batch = 400, 4
	w := newWorld()
	for i := range commands {
		w.publishNew(i)
	}
	for b.Loop() {
		b.StopTimer()
		dir := b.TempDir()
		s := open(b, dir, Options{Lacks: func(uint64, Key) bool { return true }})
		before := cpuTime()
		b.StartTimer()
		for from := 0; from < len(w.entries); from += batch {
			mustApply(b, s, w.entries[from:min(from+batch, len(w.entries))])
		}
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		const listings = commands * risk.MaxItems
		b.ReportMetric(float64(cpuTime()-before)/listings, "cpu-ns/listing")
		b.ReportMetric(float64(bytesUnder(dir))/listings, "disk-bytes/listing")
		b.StartTimer()
	}
}

// What a check of a listed token costs behind an import, when tables of all ages lie
// over each other.
func BenchmarkStandingBehindAnImport(b *testing.B) {
	const commands = 600
	w := newWorld()
	for i := range commands {
		w.publishNew(i)
	}
	s := open(b, b.TempDir(), Options{Lacks: func(uint64, Key) bool { return true }})
	defer s.Close()
	for _, e := range w.entries {
		mustApply(b, s, []Entry{e})
	}
	r, version := s.Reader(), s.Version()
	for i := 0; b.Loop(); i++ {
		list, _, err := r.Standing(version, risk.KindIP, newToken(i*7919%(commands*risk.MaxItems)))
		if err != nil || len(list) != 1 {
			b.Fatal(len(list), err)
		}
	}
}

// publishNew lists as many new subjects as a command takes, whose tokens are as random
// as real ones.
func (w *world) publishNew(command int) {
	var items []risk.Item
	var bodies []risk.Body
	for i := range risk.MaxItems {
		item, body := w.listing(i, "", 30*day, worldStart)
		content, err := risk.DecodeListingBody(body.Data)
		if err != nil {
			panic(err)
		}
		content.Token = newToken(command*risk.MaxItems + i)
		if body.Data, err = content.Encode(); err != nil {
			panic(err)
		}
		item.Commitment = body.Commit()
		items, bodies = append(items, item), append(bodies, body)
	}
	w.propose(w.acq, &risk.Listings{}, items, bodies)
}

func newToken(n int) risk.Token {
	hash := risk.CommandID(binary.BigEndian.AppendUint32(nil, uint32(n)))
	return risk.Token(hash[:16])
}

func cpuTime() int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return u.Utime.Nano() + u.Stime.Nano()
}

func bytesUnder(dir string) (n int64) {
	_ = filepath.Walk(dir, func(_ string, info os.FileInfo, err error) error {
		if err == nil && !info.IsDir() {
			n += info.Size()
		}
		return nil
	})
	return n
}
