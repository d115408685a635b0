package risk

import "slices"

// LongestLife is how many days a listing of one code may live.
type LongestLife struct {
	Code uint16
	Days uint16
}

// Lives are the longest lives of listings by code, codes rising. A code that is not
// here has [MaxListingMillis]. Who reports for longer is refused; what stands already
// keeps its expiry.
//
//	key d | u16 n { u16 code | u16 days }
type Lives struct{ Longest []LongestLife }

// SetLives puts a table of lives in the place of the one before.
//
//	u16 n { u16 code | u16 days }
type SetLives struct{ Lives []LongestLife }

// Kind says which command these are the fields of.
func (*SetLives) Kind() CommandKind { return KindSetLives }

func (p *SetLives) appendTo(dst []byte) []byte { return appendLives(dst, p.Lives) }

func (*Lives) key() []byte { return []byte{tableLives} }

func (l *Lives) appendTo(dst []byte) []byte { return appendLives(dst, l.Longest) }

func (l *Lives) read(r *reader) { l.Longest = readLives(r) }

func appendLives(dst []byte, lives []LongestLife) []byte {
	dst = putU16(dst, uint16(len(lives)))
	for _, l := range lives {
		dst = putU16(putU16(dst, l.Code), l.Days)
	}
	return dst
}

func readLives(r *reader) []LongestLife {
	lives := make([]LongestLife, r.count(MaxLives, 4))
	for i := range lives {
		lives[i] = LongestLife{Code: r.u16(), Days: r.u16()}
	}
	return lives
}

// CheckLives says what is wrong with a table of lives.
func CheckLives(lives []LongestLife) error {
	for i, l := range lives {
		switch {
		case i > 0 && l.Code <= lives[i-1].Code:
			return refuse(BadField, "lives", "the codes must rise; code %d comes after %d", l.Code, lives[i-1].Code)
		case l.Code > MaxCode:
			return refuse(BadField, "lives", "code %d is none; codes end at %d", l.Code, MaxCode)
		case l.Days == 0 || int64(l.Days)*dayMillis > MaxListingMillis:
			return refuse(BadField, "lives", "code %d has %d days; 1 to %d are allowed", l.Code, l.Days, MaxListingMillis/dayMillis)
		}
	}
	return nil
}

// Of is the longest life of a code, in milliseconds.
func (l *Lives) Of(code uint16) int64 {
	i, found := slices.BinarySearchFunc(l.Longest, code, func(l LongestLife, code uint16) int { return int(l.Code) - int(code) })
	if !found {
		return MaxListingMillis
	}
	return int64(l.Longest[i].Days) * dayMillis
}

// Check refuses a publication that would live longer than its code may.
func (l *Lives) Check(it *Item, now int64) error {
	longest := l.Of(it.Code)
	if it.Expiry > now+longest {
		return refuse(BadExpiry, "expiry", "is too far away; a listing of code %d lives %d days at most", it.Code, longest/dayMillis)
	}
	return nil
}

// LoadLives reads the longest lives.
func LoadLives(st State) (Lives, error) {
	l := Lives{}
	_, err := (&step{State: st}).load(l.key(), l.read)
	return l, err
}

func (s *step) setLives(p *SetLives) error {
	if err := CheckLives(p.Lives); err != nil {
		return err
	}
	was := Lives{}
	old, err := s.load(was.key(), was.read)
	switch {
	case err != nil:
		return err
	case slices.Equal(was.Longest, p.Lives):
		return refuse(NothingToDo, "lives", "these are the longest lives already")
	}
	return s.save(old, &Lives{Longest: p.Lives})
}
