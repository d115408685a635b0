package risk

// Shelter finds the protection of a subject. It does not change; any number of
// goroutines ask it. The zero value protects nobody.
type Shelter struct {
	of map[shelterKey][]*Protected
}

type shelterKey struct {
	kind  Kind
	scope Scope
	token Token
}

// NewShelter is made of all protections, those that have ended too.
func NewShelter(list []*Protected) *Shelter {
	s := &Shelter{of: make(map[shelterKey][]*Protected, len(list))}
	for _, p := range list {
		key := shelterKey{p.Kind, p.Scope, p.Body.Token}
		s.of[key] = append(s.of[key], p)
	}
	return s
}

// Of gives a protection that is in force for exactly what is asked; of several the
// one that holds longest, and nil if there is none.
func (s *Shelter) Of(asked *Asked, now int64) *Protected {
	if len(s.of) == 0 {
		return nil
	}
	var found *Protected
	for _, p := range s.of[shelterKey{asked.Kind, asked.Scope, asked.Token}] {
		if p.ActiveAt(now) && (found == nil || p.Expiry > found.Expiry) {
			found = p
		}
	}
	return found
}
