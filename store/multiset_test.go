package store

import "testing"

func TestMultisetsAreEqualWhateverTheOrder(t *testing.T) {
	k := newKeyed()
	of := func(k *keyed, elements ...string) (m multiset) {
		for _, e := range elements {
			m.add(k, []byte(e))
		}
		return m
	}
	want := of(k, "a", "b", "c")
	if got := of(k, "c", "a", "b"); got != want {
		t.Errorf("in another order it is %v, want %v", got, want)
	}
	for what, other := range map[string]multiset{
		"another element":        of(k, "a", "b", "d"),
		"one twice":              of(k, "a", "b", "b"),
		"one fewer":              of(k, "a", "b"),
		"as much, cut elsewhere": of(k, "ab", "", "c"),
		"under another key":      of(newKeyed(), "a", "b", "c"),
	} {
		if other == want {
			t.Errorf("%s: the same multiset", what)
		}
	}
}
