package check

import (
	"fmt"

	"github.com/risknet/risknet/risk"
)

// Override is an institution's own exception for one token, until it expires.
// What is listed about the subject then moves neither the advice nor the rules;
// the override's advice joins the verdict in its stead, visibly. It may be
// stricter than what is listed, and may speak of what nobody lists.
type Override struct {
	Kind    risk.Kind
	Token   risk.Token
	Advice  risk.Advice
	Expires int64 // milliseconds since the Unix epoch; there is no exception for ever
	Comment string
}

// overrides are the exceptions of a view behind a small filter of their own.
type overrides struct {
	prints *index // nil when there are none
	byKey  map[Key]Override
}

// SetOverrides replaces all exceptions. Where two speak of one key, the harder
// advice holds.
func (c *Checker) SetOverrides(list []Override) error {
	set := overrides{byKey: make(map[Key]Override, len(list))}
	for i, o := range list {
		switch {
		case !o.Kind.Valid():
			return fmt.Errorf("overrides[%d].kind: %s is not known", i, o.Kind)
		case !o.Advice.Valid():
			return fmt.Errorf("overrides[%d].advice: %s is no advice; use one of allow … deny", i, o.Advice)
		case o.Expires <= 0:
			return fmt.Errorf("overrides[%d].expires: is missing; an exception must end", i)
		}
		if key := (Key{o.Kind, o.Token}); set.byKey[key].Advice < o.Advice {
			set.byKey[key] = o
		}
	}
	if len(set.byKey) > 0 {
		keys := make([]Touched, 0, len(set.byKey)) // they have no sums
		for k := range set.byKey {
			keys = append(keys, Touched{Key: k})
		}
		set.prints = newIndex(entriesOf(c.hasher, keys), room(len(keys)))
	}
	c.change(func(v *View) bool {
		v.overrides = set
		return true
	})
	return nil
}

// may is false where there is no exception for a print.
func (o *overrides) may(p uint64) bool { return o.prints != nil && o.prints.may(p) }

// find gives the exception for a key that is in force at a time.
func (o *overrides) find(p uint64, k Key, now int64) (Override, bool) {
	if !o.may(p) {
		return Override{}, false
	}
	found, ok := o.byKey[k]
	return found, ok && now < found.Expires
}
