package risk

import (
	"bytes"
	"testing"
)

// fuzzFormat looks for bytes that a decoder takes and its encoder would not give.
func fuzzFormat(f *testing.F, seeds [][]byte, again func([]byte) ([]byte, error)) {
	for _, seed := range seeds {
		f.Add(seed)
		f.Add(seed[:len(seed)/2])
		f.Add(append(bytes.Clone(seed), 1))
	}
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := again(data)
		if err == nil && !bytes.Equal(got, data) {
			t.Fatalf("%x is taken and comes back as %x", data, got)
		}
	})
}

func seedsOf(of func(sample) []byte) (seeds [][]byte) {
	for _, s := range samples() {
		seeds = append(seeds, of(s))
	}
	return seeds
}

func FuzzDecodeCommand(f *testing.F) {
	fuzzFormat(f, seedsOf(func(s sample) []byte { return s.signed().Header }),
		func(b []byte) ([]byte, error) { return reencode(DecodeCommand(b)) })
}

func FuzzDecodeSigned(f *testing.F) {
	fuzzFormat(f, seedsOf(func(s sample) []byte { return s.signed().Encode() }),
		func(b []byte) ([]byte, error) { return reencode(DecodeSigned(b)) })
}

func FuzzDecodeEntry(f *testing.F) {
	fuzzFormat(f, seedsOf(func(s sample) []byte { return s.entry().Encode() }),
		func(b []byte) ([]byte, error) { return reencode(DecodeEntry(b)) })
}

func FuzzDecodeLeaf(f *testing.F) {
	leaves := sampleLeaves()
	fuzzFormat(f, [][]byte{leaves["accepted"].Encode(), leaves["refused"].Encode()},
		func(b []byte) ([]byte, error) { return reencode(DecodeLeaf(b)) })
}

func FuzzDecodeListingBody(f *testing.F) {
	body, err := fullBody().Encode()
	if err != nil {
		f.Fatal(err)
	}
	fuzzFormat(f, [][]byte{body}, func(b []byte) ([]byte, error) { return reencode(DecodeListingBody(b)) })
}

func FuzzDecodeProtectionBody(f *testing.F) {
	body, err := fullProtection().Encode()
	if err != nil {
		f.Fatal(err)
	}
	fuzzFormat(f, [][]byte{body}, func(b []byte) ([]byte, error) { return reencode(DecodeProtectionBody(b)) })
}

func FuzzReadListing(f *testing.F) {
	fuzzFormat(f, [][]byte{sampleRecords()["listing"].appendTo(nil), sampleRecords()["listing_taken"].appendTo(nil)}, func(b []byte) ([]byte, error) {
		l, err := ReadListing(ListingID{Leaf: 1}, b)
		if err != nil {
			return nil, err
		}
		return l.appendTo(nil), nil
	})
}

// FuzzStep puts any bytes before the law: what is not signed by a key that the
// state knows changes nothing, and nothing stops the node.
func FuzzStep(f *testing.F) {
	w := newWorld(f)
	for _, s := range samples() {
		f.Add(s.entry().Encode())
	}
	item, body := reportOn(KindPhone, 1, start).sealed(f)
	known := w.sign(w.command(acq, 1, &Listings{}, item), []Body{body})
	f.Add(w.entry(known).Encode())
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := DecodeEntry(data)
		if err != nil {
			return
		}
		st := w.st.clone()
		res, err := Step(st, e, 99, nil)
		if err != nil {
			t.Fatalf("the node stops: %v", err)
		}
		if !res.Leaf && st.digest() != w.st.digest() {
			t.Fatal("what is no leaf changed the state")
		}
		if res.Leaf && !bytes.Equal(e.Signed.Header, known.Header) {
			t.Fatal("a leaf that nobody signed")
		}
	})
}
