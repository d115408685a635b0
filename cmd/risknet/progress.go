package main

import (
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"

	"github.com/cheggaaa/pb/v3"
	"github.com/spf13/cobra"
)

// meter shows how far long work is: a bar when stderr is a terminal, else a line
// every few seconds. Work is measured in bytes of the input, or in things done
// where there is no input.
type meter struct {
	cmd   *cobra.Command
	what  string
	total int64
	start time.Time
	last  time.Time
	bar   *pb.ProgressBar
	bytes atomic.Int64
	input bool
}

const (
	barTemplate = `{{string . "what"}} {{counters .}} {{bar .}} {{percent .}} {{speed .}} {{rtime . "%s left"}}`
	lineEvery   = 5 * time.Second
)

// newMeter begins; a total of zero is not known.
func newMeter(cmd *cobra.Command, what string, total int64) *meter {
	m := &meter{cmd: cmd, what: what, total: total, start: time.Now(), last: time.Now()}
	if isTerminal(os.Stderr) {
		m.bar = pb.New64(total).SetTemplateString(barTemplate).Set("what", what).SetWriter(os.Stderr).Start()
	}
	return m
}

// read measures by what is read of an input.
func (m *meter) read(in io.Reader) io.Reader {
	m.input = true
	if m.bar != nil {
		m.bar.Set(pb.Bytes, true)
	}
	return countingReader{in, m}
}

type countingReader struct {
	io.Reader
	*meter
}

func (r countingReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	r.bytes.Add(int64(n))
	return n, err
}

// done tells how many have been done.
func (m *meter) done(n int) {
	at := int64(n)
	if m.input {
		at = m.bytes.Load()
	}
	if m.bar != nil {
		m.bar.SetCurrent(at)
		return
	}
	now := time.Now()
	if now.Sub(m.last) < lineEvery {
		return
	}
	m.last = now
	took := now.Sub(m.start)
	left := ""
	if m.total > 0 && at > 0 {
		rest := time.Duration(float64(took) * float64(m.total-at) / float64(at))
		left = fmt.Sprintf(", %d%%, %s left", 100*at/m.total, rest.Round(time.Second))
	}
	note(m.cmd, "%s: %s, %s a second%s", m.what, many(n), many(int(float64(n)/took.Seconds())), left)
}

// end takes the bar away.
func (m *meter) end() {
	if m.bar != nil {
		m.bar.Finish()
	}
}

// openInput opens a file, or standard input for -. Size and time are zero where
// they are not known.
func openInput(cmd *cobra.Command, path string) (in io.ReadCloser, size int64, changed time.Time, err error) {
	if path == "-" {
		return io.NopCloser(cmd.InOrStdin()), 0, time.Time{}, nil
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, 0, time.Time{}, fmt.Errorf("file: %w; name a file that can be read", err)
	}
	info, err := file.Stat()
	if err != nil || info.IsDir() {
		_ = file.Close()
		return nil, 0, time.Time{}, fmt.Errorf("file: %s is not a file that can be read", path)
	}
	return file, info.Size(), info.ModTime(), nil
}
