package store

import (
	"io"
	"os"
	"syscall"
	"testing"

	"github.com/risknet/risknet/risk"
)

// cpuNow is what this process has used, in nanoseconds: steadier than the clock where
// others share the machine.
func cpuNow(b *testing.B) int64 {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return used.Utime.Nano() + used.Stime.Nano()
}

// The way of 100,000 listings into an image, and of the image into another state.
func BenchmarkImage(b *testing.B) {
	const each, commands = 500, 200
	w := newWorld()
	for i := range commands {
		w.publishScattered("", i*each, each)
	}
	dir := b.TempDir()
	s := open(b, dir, Options{})
	mustApply(b, s, w.entries)
	mustClose(b, s) // into tables
	s = open(b, dir, Options{})
	defer s.Close()
	perListing := func(b *testing.B, cpu int64) {
		n := float64(b.N) * each * commands
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/n, "ns/listing")
		b.ReportMetric(float64(cpu)/n, "cpu-ns/listing")
	}
	b.Run("written", func(b *testing.B) {
		began := cpuNow(b)
		for b.Loop() {
			image, err := s.OpenImage(ctx.Err)
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(image.Size())
			if err := image.Close(); err != nil {
				b.Fatal(err)
			}
		}
		perListing(b, cpuNow(b)-began)
	})
	b.Run("installed", func(b *testing.B) {
		image, err := s.OpenImage(ctx.Err)
		if err != nil {
			b.Fatal(err)
		}
		defer image.Close()
		b.SetBytes(image.Size())
		var cpu int64
		for b.Loop() {
			b.StopTimer()
			parent, err := os.MkdirTemp(b.TempDir(), "")
			if err != nil {
				b.Fatal(err)
			}
			to := open(b, parent, Options{})
			if _, err := image.Seek(0, io.SeekStart); err != nil {
				b.Fatal(err)
			}
			b.StartTimer()
			began := cpuNow(b)
			staging, err := to.Stage()
			if err == nil {
				_, err = io.Copy(staging, image)
			}
			if err == nil {
				err = staging.Install(image.Position(), func([]*risk.PutNode) error { return nil })
			}
			if err != nil {
				b.Fatal(err)
			}
			cpu += cpuNow(b) - began
			b.StopTimer()
			mustClose(b, to)
			b.StartTimer()
		}
		perListing(b, cpu)
	})
}
