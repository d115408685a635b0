package store

import (
	"crypto/sha256"
	"hash"
	"io"
	"sync/atomic"
)

// imageWriter hashes and counts what it writes. Who fills it reads the state meanwhile:
// hashing and writing go on beside that, a megabyte behind.
type imageWriter struct {
	to    io.Writer
	hash  hash.Hash
	bytes int64
	err   error // after it nothing is written

	chunk []byte        // that fills
	full  chan []byte   // closed and nil at the end
	empty chan []byte   // what was written, to be filled again
	ended chan struct{} // when all that was full is written

	failed atomic.Pointer[error] // of the one beside
}

const imageWriterChunks = 4

func newImageWriter(to io.Writer) *imageWriter {
	w := &imageWriter{to: to, hash: sha256.New(), full: make(chan []byte), empty: make(chan []byte, imageWriterChunks), ended: make(chan struct{})}
	for range imageWriterChunks {
		w.empty <- make([]byte, 0, imageChunkBytes)
	}
	w.chunk = <-w.empty
	go w.beside(w.full)
	return w
}

// beside hashes and writes what is full, and gives it back.
func (w *imageWriter) beside(full <-chan []byte) {
	defer close(w.ended)
	for chunk := range full {
		if w.failed.Load() == nil {
			w.hash.Write(chunk)
			if _, err := w.to.Write(chunk); err != nil {
				w.failed.Store(&err)
			}
		}
		w.empty <- chunk[:0]
	}
}

func (w *imageWriter) write(parts ...[]byte) {
	for _, part := range parts {
		w.bytes += int64(len(part))
		for len(part) > 0 && w.err == nil {
			n := min(len(part), cap(w.chunk)-len(w.chunk))
			w.chunk, part = append(w.chunk, part[:n]...), part[n:]
			if len(w.chunk) == cap(w.chunk) {
				w.flush()
			}
		}
	}
}

// flush hands on what has gathered.
func (w *imageWriter) flush() {
	w.full <- w.chunk
	w.chunk = <-w.empty
	if err := w.failed.Load(); err != nil {
		w.err = *err
	}
}

// sum is the hash of all that was written until now.
func (w *imageWriter) sum() []byte {
	w.flush()
	idle := [][]byte{w.chunk}
	for range imageWriterChunks - 1 { // all others are written when they are back
		idle = append(idle, <-w.empty)
	}
	for _, chunk := range idle[1:] {
		w.empty <- chunk
	}
	return w.hash.Sum(nil)
}

// close waits until all is written. It may be called again.
func (w *imageWriter) close() error {
	if w.full == nil {
		return w.err
	}
	w.flush()
	close(w.full)
	w.full = nil
	<-w.ended
	if err := w.failed.Load(); err != nil {
		w.err = *err
	}
	return w.err
}
