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

// publishNew lists as many new subjects as a command takes, whose tokens are as random
// as real ones.
func (w *world) publishNew(command int) {
	var items []risk.Item
	var bodies []risk.Body
	for i := range risk.MaxItems {
		name := binary.BigEndian.AppendUint32(nil, uint32(command*risk.MaxItems+i))
		item, body := w.listing(i, "", 30*day, worldStart)
		content, err := risk.DecodeListingBody(body.Data)
		if err != nil {
			panic(err)
		}
		hash := risk.CommandID(name)
		content.Token = risk.Token(hash[:16])
		if body.Data, err = content.Encode(); err != nil {
			panic(err)
		}
		item.Commitment = body.Commit()
		items, bodies = append(items, item), append(bodies, body)
	}
	w.propose(w.acq, &risk.Listings{}, items, bodies)
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
