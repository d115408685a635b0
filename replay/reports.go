package replay

import "github.com/risknet/risknet/risk"

// loss is a fraud that its institution does not know of yet.
type loss struct {
	*Payment
	ownCard bool // the amount spoke against the card: the terminal is hardly to blame
}

// reporter says how an institution reports the terminal of a fraud when it learns of
// it.
type reporter func(n *network, m *member, l loss) error

// plainly is how the policies of old do it: a report lives so long from the day it is
// made, and another makes it live longer.
func plainly(life int64) reporter {
	return func(n *network, m *member, l loss) error {
		return n.publish(m, l.Terminal, risk.Item{Code: 99, Expiry: n.now + life, SourceDate: n.now}, risk.ListingBody{Tier: 1})
	}
}

// skimmingPoint is the code of a place where cards are copied without the merchant's
// will (侧录点(非恶意)).
const skimmingPoint = 28

// suspicion is what an institution knows of one terminal.
type suspicion struct {
	began int64
	tier  risk.Tier
}

// byCases is how the network's policy wants it: a report says when the fraud began and
// when it was last seen, lives from the fraud and not from the report, and says how
// sure the reporter is. More fraud at the same terminal belongs to the same case until
// that ends; what comes later begins another.
func byCases(life int64) reporter {
	known := map[*member]map[uint32]*suspicion{}
	return func(n *network, m *member, l loss) error {
		if known[m] == nil {
			known[m] = map[uint32]*suspicion{}
		}
		tier := risk.Tier(1)
		if l.ownCard {
			tier = 0
		}
		s := known[m][l.Terminal]
		if s == nil || l.At >= s.began+life {
			s = &suspicion{began: l.At, tier: tier}
			known[m][l.Terminal] = s
		}
		if tier > s.tier { // the first that speaks against the terminal itself
			*s = suspicion{began: l.At, tier: tier}
		}
		if s.began+life <= n.now {
			return nil // the case was over before we knew
		}
		return n.publish(m, l.Terminal, risk.Item{Code: skimmingPoint, Expiry: s.began + life, SourceDate: l.At},
			risk.ListingBody{Tier: s.tier, OccurredFrom: s.began, OccurredTo: l.At})
	}
}
