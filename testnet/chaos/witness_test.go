package chaos

import (
	"bytes"
	"slices"
	"testing"
	"time"
)

// good is an answer that breaks nothing while nothing was acknowledged.
func good(subject string, size uint64, listed bool) Answer {
	return Answer{Node: "n1", Life: "n1/1", Subject: subject, Asked: time.Now(), Listed: listed, Size: size, Root: bytes.Repeat([]byte{byte(size)}, 32)}
}

// told gives a witness to whom leaf 7 was acknowledged as listing x.
func told() *Witness {
	w := NewWitness(3 * time.Second)
	w.Begin("x")
	w.Acked("x", 7, true)
	return w
}

func ago(d time.Duration) time.Time { return time.Now().Add(-d) }

// soon is after every acknowledgement.
func soon() time.Time { return time.Now().Add(time.Second) }

// testimonies are what a witness is told, and what it must say to it.
var testimonies = []struct {
	name string
	do   func(*Witness)
	want []Invariant
}{
	{"a listed subject is answered clear", func(w *Witness) {
		w.Answer(good("x", 8, false))
	}, []Invariant{NeverClear}},
	{"a listed subject was answered clear before its receipt came", func(w *Witness) {
		w.Begin("y")
		w.Answer(good("y", 12, false))
		w.Acked("y", 10, true)
	}, []Invariant{NeverClear}},
	{"a lifted subject returns", func(w *Witness) {
		w.Begin("x")
		w.Acked("x", 9, false)
		w.Answer(good("x", 11, true))
	}, []Invariant{NeverClear}},
	{"a subject that nobody listed is answered listed", func(w *Witness) {
		w.Answer(good("never", 8, true))
	}, []Invariant{NeverClear}},
	{"an answer is older than it was asked for", func(w *Witness) {
		a := good("x", 9, true)
		a.MinSize = 10
		w.Answer(a)
	}, []Invariant{Fresh}},
	{"an old answer calls itself fresh", func(w *Witness) {
		a := good("x", 5, false)
		a.Asked, a.Age = soon(), 10*time.Millisecond
		w.Answer(a)
	}, []Invariant{Honest}},
	{"an answer past the limit is not called stale", func(w *Witness) {
		a := good("x", 5, false)
		a.Age = 4 * time.Second
		w.Answer(a)
	}, []Invariant{Honest}},
	{"a stale answer is without the stale policy", func(w *Witness) {
		a := good("x", 5, false)
		a.Age, a.Stale = 4*time.Second, true
		w.Answer(a)
	}, []Invariant{Honest}},
	{"an answer has no root", func(w *Witness) {
		a := good("x", 8, true)
		a.Root = nil
		w.Answer(a)
	}, []Invariant{Honest}},
	{"two roots at one size", func(w *Witness) {
		w.Answer(good("x", 8, true))
		w.Status(Status{Node: "n2", Life: "n2/1", Size: 8, Root: bytes.Repeat([]byte{1}, 32)})
	}, []Invariant{Grows, Same}},
	{"the applied index goes back within a life", func(w *Witness) {
		w.Status(Status{Node: "n1", Life: "n1/1", Applied: 20})
		w.Status(Status{Node: "n1", Life: "n1/1", Applied: 19})
	}, []Invariant{Forward}},
	{"the head goes back within a life", func(w *Witness) {
		w.Grew("n1", "n1/1", 8)
		w.Grew("n1", "n1/1", 7)
	}, []Invariant{Grows}},
	{"two commands about one subject change their order", func(w *Witness) {
		w.Begin("x")
		w.Acked("x", 6, false)
	}, []Invariant{Kept}},
	{"an answer from before the listing is what it says", func(w *Witness) {
		a := good("x", 7, false)
		a.Asked = ago(time.Second)
		w.Answer(a)
	}, nil},
	{"what is under way may be answered either way", func(w *Witness) {
		w.Begin("x")
		w.Answer(good("x", 9, true))
		w.Answer(good("x", 10, false))
	}, nil},
	{"a new life may begin behind", func(w *Witness) {
		w.Status(Status{Node: "n1", Life: "n1/1", Applied: 20})
		w.Status(Status{Node: "n1", Life: "n1/2", Applied: 19})
	}, nil},
	{"a stale answer with its policy", func(w *Witness) {
		a := good("x", 5, false)
		a.Age, a.Stale, a.Closed = 4*time.Second, true, true
		w.Answer(a)
	}, nil},
}

func TestTheWitnessCatchesEachBrokenPromise(t *testing.T) {
	for _, c := range testimonies {
		t.Run(c.name, func(t *testing.T) {
			w := told()
			c.do(w)
			_, broken := w.Violations()
			var got []Invariant
			for i := range broken {
				got = append(got, i)
			}
			slices.Sort(got)
			if !slices.Equal(got, c.want) {
				t.Errorf("broken: %v, want %v", got, c.want)
			}
		})
	}
}

func TestTheWitnessExpectsWhatWasAcknowledgedLast(t *testing.T) {
	w := told()
	w.Begin("x")
	w.Acked("x", 9, false)
	w.Begin("y")
	w.Acked("y", 10, true)
	w.Begin("lost")
	if got := w.Expected(); len(got) != 2 || got["x"] || !got["y"] {
		t.Errorf("expected: %v, want x lifted and y listed", got)
	}
}
