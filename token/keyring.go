package token

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/risknet/risknet/risk"
)

// Keyring makes tokens under the keys in use: one, or two while a new epoch
// takes over. It never changes; a change of keys is another keyring.
type Keyring struct {
	hashers []*Hasher // the newest epoch first
}

// NewKeyring makes the keyring of one or two keys, in any order.
func NewKeyring(keys ...Key) (*Keyring, error) {
	if len(keys) == 0 || len(keys) > risk.MaxLiveEpochs {
		return nil, fmt.Errorf("keyring: has %d keys; give the one or two that are in use", len(keys))
	}
	ring := &Keyring{}
	for _, key := range keys {
		if key.Secret() == [32]byte{} {
			return nil, fmt.Errorf("keyring: the secret of epoch %d is not set; fetch the key from the institution's node", key.Epoch)
		}
		ring.hashers = append(ring.hashers, NewHasher(key))
	}
	slices.SortFunc(ring.hashers, func(a, b *Hasher) int { return cmp.Compare(b.epoch, a.epoch) })
	if len(keys) == 2 && keys[0].Epoch == keys[1].Epoch {
		return nil, errors.New("keyring: both keys are of one epoch; give each epoch's key once")
	}
	return ring, nil
}

// Newest says in which epoch listings are made.
func (r *Keyring) Newest() risk.Epoch { return r.hashers[0].epoch }

// Epochs lists the epochs in use, the newest first.
func (r *Keyring) Epochs() []risk.Epoch {
	epochs := make([]risk.Epoch, len(r.hashers))
	for i, h := range r.hashers {
		epochs[i] = h.epoch
	}
	return epochs
}

// List gives what a listing of an identifier names: its token in the newest
// epoch and its scope. The error is that of [Normalise].
func (r *Keyring) List(kind risk.Kind, raw string) (risk.Asked, error) {
	subject, err := Normalise(kind, raw)
	if err != nil {
		return risk.Asked{}, err
	}
	return r.ListSubject(subject), nil
}

// ListSubject is [Keyring.List] for an identifier in normal form.
func (r *Keyring) ListSubject(s Subject) risk.Asked {
	h := r.hashers[0]
	return risk.Asked{Kind: s.Kind, Scope: s.Scope, Epoch: h.epoch, Token: h.Token(s.Kind, s.Value)}
}

// Ask appends all that a check of an identifier must ask for, under each epoch
// in use. The identifier itself is asked, and more:
//
//   - an ip: every prefix around it whose length is in use;
//   - a domain: itself and every parent, down to the top-level domain, whose
//     label count is in use;
//   - an email: also its domain, as a domain is asked;
//   - a url: also its host, as a domain or as an ip.
//
// The error is that of [Normalise], and then nothing is appended.
func (r *Keyring) Ask(dst []risk.Asked, kind risk.Kind, raw string, inUse ScopesInUse) ([]risk.Asked, error) {
	if kind == risk.KindIP { // without writing it down and reading it again
		prefix, err := prefixOf(raw)
		if err != nil {
			return dst, err
		}
		return r.askPrefixes(dst, prefix, &inUse), nil
	}
	subject, err := Normalise(kind, raw)
	if err != nil {
		return dst, err
	}
	return r.AskSubject(dst, subject, inUse), nil
}

// AskSubject is [Keyring.Ask] for an identifier in normal form.
func (r *Keyring) AskSubject(dst []risk.Asked, s Subject, inUse ScopesInUse) []risk.Asked {
	switch s.Kind {
	case risk.KindIP:
		return r.askPrefixes(dst, netip.MustParsePrefix(s.Value), &inUse)
	case risk.KindDomain:
		return r.askParents(dst, s.Value, &inUse)
	}
	dst = ask(r, dst, s.Kind, risk.Scope{}, s.Value)
	switch s.Kind {
	case risk.KindEmail:
		return r.askParents(dst, s.Value[strings.LastIndexByte(s.Value, '@')+1:], &inUse)
	case risk.KindURL:
		host := hostOf(s.Value)
		if addr, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
			return r.askPrefixes(dst, wholeAddress(addr), &inUse)
		}
		return r.askParents(dst, host, &inUse)
	}
	return dst
}

func (r *Keyring) askPrefixes(dst []risk.Asked, p netip.Prefix, inUse *ScopesInUse) []risk.Asked {
	var text [64]byte
	scope := scopeOf(p)
	for length := inUse.below(scope.Family, p.Bits()); length >= 0; length = inUse.below(scope.Family, length-1) {
		if scope.Length = uint8(length); inUse.Has(scope) {
			around := netip.PrefixFrom(p.Addr(), length).Masked()
			dst = ask(r, dst, risk.KindIP, scope, around.AppendTo(text[:0]))
		}
	}
	return dst
}

func (r *Keyring) askParents(dst []risk.Asked, name string, inUse *ScopesInUse) []risk.Asked {
	for labels := 1 + strings.Count(name, "."); ; labels-- {
		scope := risk.Scope{Family: risk.FamilyDomain, Length: uint8(labels)}
		if inUse.Has(scope) {
			dst = ask(r, dst, risk.KindDomain, scope, name)
		}
		if labels == 1 {
			return dst
		}
		_, name, _ = strings.Cut(name, ".")
	}
}

func ask[T string | []byte](r *Keyring, dst []risk.Asked, kind risk.Kind, scope risk.Scope, value T) []risk.Asked {
	for _, h := range r.hashers {
		dst = append(dst, risk.Asked{Kind: kind, Scope: scope, Epoch: h.epoch, Token: hashed(h, kind, value)})
	}
	return dst
}
