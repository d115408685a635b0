package consensus

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"
)

// testMachine keeps what it applied. Its disk is the copy made by Sync.
type testMachine struct {
	mu      sync.Mutex
	state   testState
	disk    testState
	images  int           // opened
	broken  error         // ApplyBatch fails with it
	unsync  error         // Sync fails with it
	corrupt bool          // images are sent with a wrong byte
	hold    chan struct{} // ApplyBatch waits for it
	slow    time.Duration // each write of an image that comes takes as long
	making  func()        // is called when an image is made
}

// with changes or reads the machine between two of its calls.
func (m *testMachine) with(f func(*testMachine)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f(m)
}

func (m *testMachine) opened() (images int) {
	m.with(func(m *testMachine) { images = m.images })
	return images
}

type testState struct {
	At     Position
	LastAt int64
	Seen   []testEntry
}

type testEntry struct {
	Index uint64
	At    int64
	Text  string
}

func (m *testMachine) Position() Position {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.state.At
}

func (m *testMachine) LastAt() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.state.LastAt
}

func (m *testMachine) ApplyBatch(entries []Entry) ([]any, error) {
	var hold chan struct{}
	m.with(func(m *testMachine) { hold = m.hold })
	if hold != nil {
		<-hold
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.broken != nil {
		return nil, m.broken
	}
	results := make([]any, len(entries))
	for i, e := range entries {
		if e.Index <= m.state.At.Index {
			return nil, fmt.Errorf("entry %d comes again: the state is at %d", e.Index, m.state.At.Index)
		}
		m.state.At.Index, m.state.At.Term = e.Index, e.Term
		switch e.Kind {
		case Configuration:
			m.state.At.Configuration, m.state.At.ConfigurationIndex = e.Data, e.Index
		case Command:
			at, text := int64(binary.BigEndian.Uint64(e.Data)), string(e.Data[8:])
			m.state.LastAt = max(m.state.LastAt, at)
			m.state.Seen = append(m.state.Seen, testEntry{e.Index, at, text})
			results[i] = "applied " + text
		}
	}
	return results, nil
}

func (m *testMachine) Sync() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.unsync != nil {
		return m.unsync
	}
	m.disk = m.state.clone()
	return nil
}

// crash is the machine after the power failed: what was synced.
func (m *testMachine) crash() *testMachine { return &testMachine{state: m.disk.clone(), disk: m.disk} }

func (s testState) clone() testState {
	s.Seen = slices.Clone(s.Seen)
	return s
}

func (m *testMachine) texts() []string {
	var out []string
	for _, e := range m.entries() {
		out = append(out, e.Text)
	}
	return out
}

func (m *testMachine) entries() []testEntry {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.state.Seen)
}

type testImage struct {
	*bytes.Reader
	at Position
}

func (testImage) Close() error         { return nil }
func (i testImage) Position() Position { return i.at }

func (m *testMachine) OpenImage(wanted func() error) (Image, error) {
	if m.making != nil {
		m.making()
	}
	if err := wanted(); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	body, err := json.Marshal(m.state)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(body)
	if m.corrupt {
		body[len(body)/2] ^= 1
	}
	m.images++
	return testImage{bytes.NewReader(append(sum[:], body...)), m.state.At}, nil
}

func (m *testMachine) StageImage() (Staging, error) { return &testStaging{m: m}, nil }

type testStaging struct {
	bytes.Buffer
	m *testMachine
}

func (s *testStaging) Write(p []byte) (int, error) {
	<-time.After(s.m.slow)
	return s.Buffer.Write(p)
}

func (s *testStaging) Install(want Position) error {
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	raw, _ := io.ReadAll(&s.Buffer)
	if len(raw) < 32 || sha256.Sum256(raw[32:]) != [32]byte(raw[:32]) {
		return errors.New("the image is damaged")
	}
	var state testState
	if err := json.Unmarshal(raw[32:], &state); err != nil {
		return err
	}
	if state.At.Index != want.Index || !bytes.Equal(state.At.Configuration, want.Configuration) {
		return errors.New("the image is not what was announced")
	}
	s.m.state, s.m.disk = state, state.clone()
	return nil
}

func (s *testStaging) Discard() error { return nil }
