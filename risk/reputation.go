package risk

import (
	"bytes"
	"maps"
	"slices"
)

// Reputation is what became of a reporter's own reports. It is kept from protocol 2
// on, and goes into what they weigh; see [Policy.Weigh].
//
//	key u reporter 16 | u64 reported | u64 errors
type Reputation struct {
	Reporter ID
	Reported uint64 // listings of its own cases
	Errors   uint64 // listings of any origin that were lifted as an error
}

func (r *Reputation) key() []byte { return keyOf(tableReputation, r.Reporter[:]) }

func (r *Reputation) appendTo(dst []byte) []byte { return putU64(putU64(dst, r.Reported), r.Errors) }

func (r *Reputation) read(from *reader) { r.Reported, r.Errors = from.u64(), from.u64() }

// LoadReputation reads a reporter's; nothing is held against one without.
func LoadReputation(st State, reporter ID) (Reputation, error) {
	r := Reputation{Reporter: reporter}
	_, err := (&step{State: st}).load(r.key(), r.read)
	return r, err
}

// ReadReputation reads a reputation's record.
func ReadReputation(key, value []byte) (*Reputation, error) {
	r := &Reputation{Reporter: ID(key[1:])}
	return r, readRecord(value, r.read)
}

// repute notes a report or an error; saveReputations writes the sums of a command at
// once.
func (s *step) repute(reporter ID, reported, errors uint64) {
	if s.net.Protocol < 2 || reported+errors == 0 {
		return
	}
	if s.reputations == nil {
		s.reputations = map[ID]Reputation{}
	}
	r := s.reputations[reporter]
	r.Reported, r.Errors = r.Reported+reported, r.Errors+errors
	s.reputations[reporter] = r
}

func (s *step) saveReputations() error {
	reporters := slices.SortedFunc(maps.Keys(s.reputations), func(a, b ID) int { return bytes.Compare(a[:], b[:]) })
	for _, reporter := range reporters {
		r := Reputation{Reporter: reporter}
		old, err := s.load(r.key(), r.read)
		if err != nil {
			return err
		}
		r.Reported += s.reputations[reporter].Reported
		r.Errors += s.reputations[reporter].Errors
		if err := s.save(old, &r); err != nil {
			return err
		}
	}
	return nil
}
