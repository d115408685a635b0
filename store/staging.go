package store

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"github.com/risknet/risknet/fault"
	"github.com/risknet/risknet/risk"
)

const stagingDir = "staging"

// Staging receives an image beside the living state, and makes a state of it while it
// comes: nothing of the image itself is kept.
type Staging struct {
	store *Store
	dir   string // of the state
	in    *intake
	into  roomy // asks for room, and passes on to in
	end   sync.Once

	head *imageHead // these two are read when in.done is closed
	err  error
}

// Stage makes room for an image.
func (s *Store) Stage() (*Staging, error) {
	parent := filepath.Join(s.dir, stagingDir)
	if err := os.MkdirAll(parent, 0o700); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(parent, "image-*")
	if err != nil {
		return nil, err
	}
	in := &intake{full: make(chan []byte, intakeChunks), broken: make(chan struct{}), ending: s.ending, done: make(chan struct{})}
	st := &Staging{store: s, dir: dir, in: in, into: roomy{to: in, room: s.opts.Room}}
	s.leaving.Go(func() {
		defer close(in.done)
		st.head, st.err = s.receive(dir, in)
	})
	return st, nil
}

// Write takes the next bytes of the image. It stops where there is no room; that the
// image is a bad one, Install says.
func (st *Staging) Write(p []byte) (int, error) { return st.into.Write(p) }

// Discard frees what was staged; the state that it has become stays.
func (st *Staging) Discard() error {
	st.end.Do(func() { close(st.in.broken) })
	<-st.in.done
	return os.RemoveAll(st.dir)
}

// Install verifies the staged image, refuses one that is not at the position wanted or
// whose node records are not accepted, and puts it in the place of the state: durably,
// and at once for everybody. After an error the old state stands as it was.
func (st *Staging) Install(want Position, accept func(nodes []*risk.PutNode) error) error {
	st.end.Do(st.in.close)
	<-st.in.done
	s := st.store
	// If we crash here, what was staged is swept aside and sent again.
	fault.Point("store: stage written")
	err := st.err
	if err == nil {
		err = st.head.isAt(&want)
	}
	if err != nil {
		return fmt.Errorf("install an image: %w", err)
	}
	name, err := s.nextName()
	if err != nil {
		return err
	}
	dir := filepath.Join(s.dir, name)
	if err := os.Rename(st.dir, dir); err != nil {
		return fmt.Errorf("install an image: %w", err)
	}
	m, err := s.openBuilt(dir)
	if err == nil {
		if err = m.acceptable(accept); err != nil {
			err = errors.Join(err, m.gen.close())
		}
	}
	if err != nil {
		return errors.Join(fmt.Errorf("install an image: %w", err), os.RemoveAll(dir))
	}
	return s.goOver(name, m)
}

// goOver makes a state that is whole and on disk the state.
func (s *Store) goOver(name string, m *meta) error {
	// If we crash here, the new directory is swept aside at the next start.
	fault.Point("store: restore before CURRENT")
	if err := s.setCurrent(name); err != nil {
		if now, unread := s.current(); unread != nil || now == name {
			// Nobody knows which name the disk has: both states stay, for the next start.
			return s.fail(errors.Join(fmt.Errorf("take over a restored state: %w", err), m.gen.close()))
		}
		return errors.Join(err, m.gen.close(), os.RemoveAll(m.gen.dir))
	}
	// If we crash here, the next start opens the new state.
	fault.Point("store: restore after CURRENT")
	old := s.now.Load().gen
	s.become(m)
	defer s.leaving.Go(func() { s.leave(old) })
	if err := s.opts.OnRestore(); err != nil {
		return s.fail(fmt.Errorf("take over a restored state: %w", err))
	}
	return nil
}

const (
	intakeBytes  = 1 << 20
	intakeChunks = 4
)

// intake passes an image on in large pieces, so that who receives it and who builds a
// state of it do not wait for each other at each.
type intake struct {
	chunk  []byte        // that fills
	full   chan []byte   // closed behind the last
	broken chan struct{} // closed when the rest will not come
	ending chan struct{} // closed when the store ends
	done   chan struct{} // closed when nobody reads any more
	rest   []byte        // of what is being read
}

// Write always takes everything: when the reader has ended it has said why.
func (q *intake) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		if q.chunk == nil {
			q.chunk = make([]byte, 0, intakeBytes)
		}
		n := min(len(rest), cap(q.chunk)-len(q.chunk))
		q.chunk, rest = append(q.chunk, rest[:n]...), rest[n:]
		if len(q.chunk) == cap(q.chunk) {
			q.flush()
		}
	}
	return len(p), nil
}

func (q *intake) flush() {
	select {
	case q.full <- q.chunk:
	case <-q.done:
	}
	q.chunk = nil
}

// close says that this was all.
func (q *intake) close() {
	q.flush()
	close(q.full)
}

var errBrokenOff = errors.New("the image has broken off")

func (q *intake) Read(p []byte) (int, error) {
	for len(q.rest) == 0 {
		select {
		case chunk, more := <-q.full:
			if !more {
				return 0, io.EOF
			}
			q.rest = chunk
		case <-q.broken:
			return 0, errBrokenOff
		case <-q.ending:
			return 0, errEnded
		}
	}
	n := copy(p, q.rest)
	q.rest = q.rest[n:]
	return n, nil
}
