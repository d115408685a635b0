package store

// slab hands out room for what a cut writes. Badger keeps keys and values as they are
// given until the commit is through, so all of it lasts as long; to ask the heap for
// each was a tenth of an import.
type slab struct{ free []byte }

const slabBytes = 64 << 10

// room gives a slice of no bytes with room for n, which nothing else has.
func (s *slab) room(n int) []byte {
	if len(s.free) < n {
		s.free = make([]byte, max(n, slabBytes))
	}
	part := s.free[:0:n]
	s.free = s.free[n:]
	return part
}
