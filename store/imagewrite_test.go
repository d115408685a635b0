package store

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"testing"
)

func TestAnImageIsWrittenAsItWasGiven(t *testing.T) {
	var to bytes.Buffer
	w := newImageWriter(&to)
	var want []byte
	for i := range 4000 {
		part := bytes.Repeat([]byte{byte(i)}, i)
		want = append(want, part...)
		w.write(part)
		if i == 2000 {
			if sum := sha256.Sum256(want); !bytes.Equal(w.sum(), sum[:]) {
				t.Error("the sum in the middle is another")
			}
		}
	}
	sum := sha256.Sum256(want)
	if !bytes.Equal(w.sum(), sum[:]) || w.bytes != int64(len(want)) {
		t.Errorf("the sum of %d bytes is another", w.bytes)
	}
	if err := errors.Join(w.close(), w.close()); err != nil || !bytes.Equal(to.Bytes(), want) {
		t.Errorf("%d of %d bytes are written: %v", to.Len(), len(want), err)
	}
}

// full has room for so many bytes.
type full struct{ room int }

func (f *full) Write(p []byte) (int, error) {
	if f.room -= len(p); f.room < 0 {
		return 0, errNoRoom
	}
	return len(p), nil
}

func TestAnImageThatCannotBeWrittenSaysSo(t *testing.T) {
	for _, room := range []int{0, imageChunkBytes, 3 * imageChunkBytes} {
		w := newImageWriter(&full{room})
		for range 100 {
			w.write(make([]byte, imageChunkBytes/3))
		}
		if room < 3*imageChunkBytes && w.err == nil {
			t.Errorf("with room for %d it goes on", room)
		}
		w.sum()
		if err := w.close(); !errors.Is(err, errNoRoom) {
			t.Errorf("with room for %d it ends with %v", room, err)
		}
	}
}
