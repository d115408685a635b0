package store

import (
	"bytes"
	"errors"
	"io"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"github.com/risknet/risknet/risk"
)

// An image breaks off, is a bad one, or its store is closed under it: nothing of it is
// left, neither on the disk nor of what was at work on it.
func TestAnImageThatComesToNothingLeavesNothing(t *testing.T) {
	w := newWorld()
	for i := range 8 {
		w.publish(w.acq, string(make([]byte, 400)), subjects(500*i, 500)...)
	}
	image, at := imageMade(t, w)
	for name, do := range comeToNothing(image, at) {
		t.Run(name, func(t *testing.T) {
			before := goleak.IgnoreCurrent()
			dir := t.TempDir()
			s := open(t, dir, Options{})
			st, err := s.Stage()
			if err != nil {
				t.Fatal(err)
			}
			do(t, s, st)
			if err := st.Discard(); err != nil {
				t.Error(err)
			}
			if left := leftIn(t, dir, stagingDir); len(left) > 0 {
				t.Errorf("left are %v", left)
			}
			if states, _ := filepath.Glob(filepath.Join(dir, "state-*")); len(states) != 1 || s.Head().Size != 0 {
				t.Errorf("states are %v, at %d", states, s.Head().Size)
			}
			mustClose(t, s)
			goleak.VerifyNone(t, before)
		})
	}
}

// comeToNothing are ways in which an image does not become the state.
func comeToNothing(image []byte, at Position) map[string]func(t *testing.T, s *Store, st *Staging) {
	damaged := bytes.Clone(image)
	damaged[len(damaged)/2] ^= 1
	accept := func([]*risk.PutNode) error { return nil }
	return map[string]func(t *testing.T, s *Store, st *Staging){
		"it breaks off": func(t *testing.T, _ *Store, st *Staging) {
			if _, err := st.Write(image[:len(image)*2/3]); err != nil {
				t.Error(err)
			}
		},
		"it ends too early": func(t *testing.T, _ *Store, st *Staging) {
			if _, err := st.Write(image[:len(image)*2/3]); err != nil {
				t.Error(err)
			}
			if err := st.Install(at, accept); !errors.Is(err, ErrImage) {
				t.Error(err)
			}
		},
		"it is damaged, and taken to its end": func(t *testing.T, _ *Store, st *Staging) {
			if _, err := io.Copy(st, bytes.NewReader(append(damaged, image...))); err != nil {
				t.Error(err)
			}
			if err := st.Install(at, accept); !errors.Is(err, ErrImage) {
				t.Error(err)
			}
		},
		"it is of another position": func(t *testing.T, _ *Store, st *Staging) {
			if _, err := st.Write(image); err != nil {
				t.Error(err)
			}
			if err := st.Install(Position{Index: at.Index + 1, Term: at.Term, Configuration: at.Configuration}, accept); !errors.Is(err, ErrImage) {
				t.Error(err)
			}
		},
		"the store closes": func(t *testing.T, s *Store, st *Staging) {
			if _, err := st.Write(image[:len(image)/2]); err != nil {
				t.Error(err)
			}
			mustClose(t, s)
		},
	}
}

// The state before an image is closed also where nobody could be told of the new one.
func TestTheOldStateIsLeftWhateverComesOfTheNewOne(t *testing.T) {
	w := newWorld()
	w.publish(w.acq, "", 1)
	image, at := imageMade(t, w)
	before, broken := goleak.IgnoreCurrent(), errors.New("the filter cannot be built")
	s := open(t, t.TempDir(), Options{OnRestore: func() error { return broken }})
	if err := install(s, image, at); !errors.Is(err, broken) {
		t.Errorf("installed: %v", err)
	}
	_ = s.Close() // it says again what is broken
	if err := goleak.Find(before); err != nil {
		t.Error(err)
	}
}
