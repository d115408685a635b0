package node

import (
	"fmt"
	"math"
	"time"

	apiv1 "github.com/risknet/risknet/api/v1"
	"github.com/risknet/risknet/risk"
)

// The short functions here turn messages into nouns and back. Errors name the
// field, as the caller knows it, and the cure.

// checkCodes holds the codes of a payment to their shape, so that a rule about
// "CNY" is not passed by "cny".
func checkCodes(p *risk.Payment) error {
	switch {
	case p.Amount < 0:
		return fmt.Errorf("payment.amount: %d is negative; give minor units, 0 or more", p.Amount)
	case p.Currency != "" && !risk.IsCurrency(p.Currency):
		return fmt.Errorf("payment.currency: %q is not three capital letters (ISO 4217)", p.Currency)
	case p.Amount != 0 && p.Currency == "":
		return fmt.Errorf("payment.currency: is empty; an amount needs its ISO 4217 currency")
	case p.MCC != "" && !risk.IsMCC(p.MCC):
		return fmt.Errorf("payment.mcc: %q is not four digits (ISO 18245)", p.MCC)
	case p.Country != "" && !risk.IsCountry(p.Country):
		return fmt.Errorf("payment.country: %q is not two capital letters (ISO 3166)", p.Country)
	case p.PayerCountry != "" && !risk.IsCountry(p.PayerCountry):
		return fmt.Errorf("payment.payer_country: %q is not two capital letters (ISO 3166)", p.PayerCountry)
	}
	return nil
}

// millis gives a duration; one too long for its type becomes the longest, and
// never one of the other sign.
func millis(ms int64) time.Duration {
	const limit = int64(math.MaxInt64 / time.Millisecond)
	return time.Duration(min(max(ms, -limit), limit)) * time.Millisecond
}

func scopeMessage(s risk.Scope) *apiv1.Scope {
	return &apiv1.Scope{Family: uint32(s.Family), Length: uint32(s.Length)}
}

func exitMessage(e *risk.Exit) *apiv1.Exit {
	if e == nil || *e == (risk.Exit{}) {
		return nil
	}
	return &apiv1.Exit{How: e.How, Papers: e.Papers, Whom: e.Whom, Days: uint32(e.Days)}
}

func headMessage(h risk.Head) *apiv1.Head {
	return &apiv1.Head{Size: h.Size, Root: h.Root[:]}
}

// reply is an answer with the room that it needs, for use again.
type reply struct {
	message    apiv1.CheckResponse
	root, hash risk.Hash
}

// fill copies a verdict; the verdict is free to be used again.
func (r *reply) fill(v *risk.Verdict) {
	m := &r.message
	m.Reset()
	r.root, r.hash = v.Head.Root, v.RulesHash
	m.Advice, m.Listed, m.Reporters = v.Advice.String(), v.Listed, uint32(v.Reporters)
	m.RulesVersion, m.Size, m.Root = v.RulesVersion, v.Head.Size, r.root[:]
	m.AgeMs, m.Stale = v.AgeMillis, v.Stale
	if v.RulesVersion != 0 {
		m.RulesHash = r.hash[:]
	}
	if len(v.Shadow) > 0 {
		m.Shadow = append([]string(nil), v.Shadow...)
	}
	for i := range v.Weights {
		m.Weights = append(m.Weights, weightMessage(&v.Weights[i]))
	}
	for i := range v.Reasons {
		m.Reasons = append(m.Reasons, reasonMessage(&v.Reasons[i]))
	}
}

func weightMessage(w *risk.SubjectWeight) *apiv1.Weight {
	return &apiv1.Weight{Subject: int32(w.Subject), Confidence: uint32(w.Confidence), Origins: uint32(w.Origins),
		Authority: w.Authority, AtMost: w.AtMost.String(), ReviewDue: w.ReviewDue, Policy: w.Policy, Text: w.Weight.String()}
}

func reasonMessage(r *risk.Reason) *apiv1.Reason {
	m := &apiv1.Reason{
		Rule: r.Rule, Code: uint32(r.Code), Level: uint32(r.Level), Advice: r.Advice.String(),
		Text: r.Text, TextZh: r.TextZH, Exit: exitMessage(r.Exit), Subject: int32(r.Subject),
		ExpiresAtMs: r.Expires,
	}
	if r.Rule == "" {
		m.Listing, m.List, m.Role = r.Listing.String(), r.List.String(), r.Part.String()
		m.Reporter, m.ReportedAtMs, m.State = r.Reporter.String(), r.ReportedAt, r.State.String()
		m.Taken = takenMessages(&r.Taken)
	}
	return m
}

func listingMessage(s *risk.Standing, now int64) *apiv1.Listing {
	l, b := &s.Listing, &s.Body
	m := &apiv1.Listing{
		Id: l.ID.String(), Kind: l.Item.Kind.String(), Scope: scopeMessage(l.Item.Scope),
		Epoch: uint32(b.Epoch), Token: append([]byte(nil), b.Token[:]...),
		Code: uint32(l.Item.Code), Level: uint32(l.Item.Level), List: l.Item.List.String(),
		Advice: b.Action.String(), Reporter: l.Reporter.String(), ReportedAtMs: l.ReportedAt,
		ChangedAtMs: l.ChangedAt, ExpiresAtMs: l.Item.Expiry, SourceDateMs: l.Item.SourceDate,
		State: l.StateAt(now).String(), Origin: l.Item.Origin.Kind.String(), Role: b.Part.String(),
		Category: b.Category, Purposes: b.Purposes.String(), LegalBasis: b.LegalBasis,
		OccurredFromMs: b.OccurredFrom, OccurredToMs: b.OccurredTo, FoundMs: b.Found,
		EffectiveMs: b.Effective, ReviewMs: b.Review, Channel: b.Channel, Reference: b.Reference,
		Tier: uint32(b.Tier), Handling: uint32(b.Handling), Exit: exitMessage(&b.Exit),
		Note: b.Note, NoteZh: b.NoteZH, Revisions: uint32(l.Revisions), EndedAtMs: l.EndedAt,
	}
	if !l.Item.Origin.Ref.IsZero() {
		m.OriginRef = l.Item.Origin.Ref.String()
	}
	for p := risk.PhasePre; p < risk.Phases; p++ {
		if b.Phases&(1<<p) != 0 {
			m.Phases = append(m.Phases, p.String())
		}
	}
	m.Taken = takenMessages(&l.Taken)
	for _, e := range b.Evidence {
		m.Evidence = append(m.Evidence, &apiv1.Evidence{Hash: e.Hash[:], Type: e.Type, Holder: e.Holder.String()})
	}
	return m
}

// takenMessages count institutions and name none.
func takenMessages(taken *risk.Taken) []*apiv1.Taken {
	var messages []*apiv1.Taken
	for action, n := range taken {
		if n > 0 {
			messages = append(messages, &apiv1.Taken{Action: risk.Advice(action).String(), Institutions: uint32(n)})
		}
	}
	return messages
}

func outcomeMessages(outcomes []risk.Outcome, leaf uint64) []*apiv1.Outcome {
	messages := make([]*apiv1.Outcome, len(outcomes))
	for i, o := range outcomes {
		m := &apiv1.Outcome{Status: o.Status.String()}
		switch o.Status {
		case risk.Created:
			m.Listing = risk.ItemID{Leaf: leaf, Item: uint16(i)}.String()
		case risk.Refused:
			m.Refusal = o.Refusal.String()
		case risk.Kept:
		default:
			m.Listing = o.Target.String()
		}
		messages[i] = m
	}
	return messages
}
