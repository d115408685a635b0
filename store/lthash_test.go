package store

import (
	"bytes"
	"encoding/binary"
	"testing"
	"time"

	zeebo "github.com/zeebo/blake3"
	"pgregory.net/rapid"
)

// plainLanes is the definition, one lane at a time.
type plainLanes [laneBytes / 2]uint16

func (l *plainLanes) change(e *element, key, value []byte, add bool) {
	e.expand(key, value)
	for i := range l {
		v := binary.LittleEndian.Uint16(e.bytes[2*i:])
		if add {
			l[i] += v
		} else {
			l[i] -= v
		}
	}
}

func (l *plainLanes) equal(o *Lanes) bool {
	bytes := o.bytes()
	for i, v := range l {
		if binary.LittleEndian.Uint16(bytes[2*i:]) != v {
			return false
		}
	}
	return true
}

func TestLanesAddAndRemoveAsTheDefinitionSays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := newElement()
		var fast Lanes
		var plain plainLanes
		type record struct{ key, value []byte }
		var in []record
		for range rapid.IntRange(1, 20).Draw(t, "steps") {
			if len(in) > 0 && rapid.Bool().Draw(t, "remove") {
				r := in[0]
				in = in[1:]
				fast.remove(e, r.key, r.value)
				plain.change(e, r.key, r.value, false)
				continue
			}
			r := record{rapid.SliceOf(rapid.Byte()).Draw(t, "key"), rapid.SliceOf(rapid.Byte()).Draw(t, "value")}
			in = append(in, r)
			fast.add(e, r.key, r.value)
			plain.change(e, r.key, r.value, true)
		}
		if !plain.equal(&fast) {
			t.Fatal("the lanes differ from the definition")
		}
		for i := len(in) - 1; i >= 0; i-- {
			fast.remove(e, in[i].key, in[i].value)
		}
		if fast != (Lanes{}) {
			t.Fatal("what was added and removed again has left a trace")
		}
	})
}

// Frozen: if one of these fails, the change is wrong and not the vector.
func TestStateDigestVectors(t *testing.T) {
	e := newElement()
	var lanes Lanes
	if got := lanes.digest().String(); got != emptyDigest {
		t.Errorf("empty: %s", got)
	}
	lanes.add(e, []byte("key"), []byte("value"))
	if got := lanes.digest().String(); got != oneDigest {
		t.Errorf("one record: %s", got)
	}
	lanes.add(e, []byte("k"), []byte("eyvalue"))
	lanes.add(e, []byte("key"), []byte("value"))
	if got := lanes.digest().String(); got != threeDigest {
		t.Errorf("three records: %s", got)
	}
}

// The output is BLAKE3's as another library makes it, for records of each length
// around the edges of its blocks and chunks.
func TestElementsAreThoseOfAnotherBLAKE3(t *testing.T) {
	e, other := newElement(), zeebo.New()
	data := make([]byte, 5000)
	for i := range data {
		data[i] = byte(i * 7)
	}
	for n := range data {
		if n > 2100 && n%97 != 0 {
			continue
		}
		key, value := data[:n/3], data[n/3:n]
		e.expand(key, value)
		other.Reset()
		_, _ = other.Write([]byte{byte(len(key) >> 8), byte(len(key))})
		_, _ = other.Write(data[:n])
		want := make([]byte, laneBytes)
		_, _ = other.Digest().Read(want)
		if !bytes.Equal(e.bytes[:], want) {
			t.Fatalf("a record of %d bytes has another element", n)
		}
	}
}

const (
	emptyDigest = "2ef23a731daf5d3e6d4863f07b68204baa4fca3b53a82bab114e6a76ff1c396b"
	oneDigest   = "41c58b587317a5caa0682ad599956cfe8b26b225f1c722886c9465d07ff42fc6"
	threeDigest = "809b5a254aff9d99fc290cae872173b8f2e74d0e029671318ad2098923f29925"
)

// TestDigestIsNotSlowedByElements guards cleanRegisters: without it, SHA-256 behind an
// element takes a hundred times as long on a processor with AVX-512.
func TestDigestIsNotSlowedByElements(t *testing.T) {
	e := newElement()
	var lanes Lanes
	record := make([]byte, 160)
	quickest := func(before func()) time.Duration {
		best := time.Hour
		for range 100 {
			before()
			begun := time.Now()
			lanes.digest()
			best = min(best, time.Since(begun))
		}
		return best
	}
	alone := quickest(func() {})
	if behind := quickest(func() { lanes.add(e, record[:11], record) }); behind > 20*alone {
		t.Fatalf("a digest takes %v, and %v behind an element", alone, behind)
	}
}

func BenchmarkDigestBehindAdd(b *testing.B) {
	e := newElement()
	var lanes Lanes
	record := make([]byte, 160)
	for b.Loop() {
		lanes.add(e, record[:11], record)
		lanes.digest()
	}
}

func BenchmarkAddRecord(b *testing.B) {
	e := newElement()
	var lanes Lanes
	record := make([]byte, 160)
	for b.Loop() {
		lanes.add(e, record[:11], record)
	}
}

func BenchmarkAddToMultiset(b *testing.B) {
	k := newKeyed()
	var m multiset
	element := make([]byte, 56)
	for b.Loop() {
		m.add(k, element)
	}
}
