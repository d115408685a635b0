package rules_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/risknet/risknet/risk"
	"github.com/risknet/risknet/rules"
)

// cleanFacts is an online purchase by day in which nothing is listed.
func cleanFacts() *rules.Facts {
	f := &rules.Facts{Payment: risk.Payment{
		Time: time.Date(2026, 3, 1, 4, 0, 0, 0, time.UTC).UnixMilli(), Amount: 12900, Currency: "CNY",
		MCC: "5411", Channel: "app", Scene: "domestic", Country: "CN", PayerCountry: "CN",
		Phase: risk.PhaseIn, Purpose: risk.PurposeScreening,
	}}
	f.Any.Present = true
	f.ByRole[risk.RolePayee].Present = true
	f.ByKind[risk.KindIP].Present = true
	return f
}

// listedFacts is the same purchase from a listed address at a payee that two
// institutions list.
func listedFacts() *rules.Facts {
	f := cleanFacts()
	payee := rules.About{Present: true, Listed: true, Suspect: true, Black: true, Level: 1, Codes: []uint16{2, 46}, Reporters: 2, Advice: risk.Deny}
	f.Any, f.ByRole[risk.RolePayee], f.ByKind[risk.KindMerchant] = payee, payee, payee
	f.ByKind[risk.KindIP] = rules.About{Present: true, Listed: true, Suspect: true, Hint: true, Level: 3, Codes: []uint16{12}, Reporters: 1, Advice: risk.StepUp}
	return f
}

// drawFacts gives random facts that keep the contract of [rules.Facts].
func drawFacts(t *rapid.T) *rules.Facts {
	pick := func(label string, values ...string) string { return rapid.SampledFrom(values).Draw(t, label) }
	f := &rules.Facts{Payment: risk.Payment{
		Time:         rapid.SampledFrom([]int64{0, 1, 1772323200000, 1772380800000}).Draw(t, "time"),
		Amount:       rapid.SampledFrom([]int64{0, 1, 99, 100, 50000, 1 << 40, 1<<63 - 1, -1 << 63}).Draw(t, "amount"),
		Currency:     pick("currency", "", "CNY", "USD"),
		MCC:          pick("mcc", "", "5411", "7995"),
		Channel:      pick("channel", "", "app", "appé", "ecny", strings.Repeat("x", risk.MaxNameBytes)),
		Scene:        pick("scene", "", "inbound", "outbound"),
		Country:      pick("country", "", "CN", "TH"),
		PayerCountry: pick("payer country", "", "CN", "TH"),
		Phase:        risk.Phase(rapid.IntRange(0, int(risk.Phases)).Draw(t, "phase")),
		Purpose:      risk.Purpose(rapid.IntRange(0, int(risk.AllPurposes)).Draw(t, "purpose")),
	}}
	for _, a := range []*rules.About{&f.ByRole[risk.RolePayer], &f.ByRole[risk.RolePayee], &f.ByKind[risk.KindIP], &f.ByKind[risk.KindMerchant]} {
		*a = drawAbout(t)
		f.Any.Present = f.Any.Present || a.Present
		if a.Listed {
			f.Any = *a
		}
	}
	return f
}

func drawAbout(t *rapid.T) rules.About {
	a := rules.About{Present: rapid.Bool().Draw(t, "present")}
	if !rapid.Bool().Draw(t, "listed") {
		return a
	}
	return rules.About{
		Present: true, Listed: true, Suspect: rapid.Bool().Draw(t, "suspect"), Own: rapid.Bool().Draw(t, "own"),
		Origins: rapid.IntRange(0, 3).Draw(t, "origins"), Confidence: rapid.IntRange(0, 1000).Draw(t, "confidence"),
		Victim: rapid.Bool().Draw(t, "victim"), Black: rapid.Bool().Draw(t, "black"),
		Hint: rapid.Bool().Draw(t, "hint"), Watch: rapid.Bool().Draw(t, "watch"),
		Level:     uint8(rapid.IntRange(0, 3).Draw(t, "level")),
		Advice:    risk.Advice(rapid.IntRange(0, int(risk.Deny)).Draw(t, "advice")),
		Codes:     drawCodes(t),
		Reporters: rapid.IntRange(0, 3).Draw(t, "reporters"),
	}
}

// drawCodes gives few codes, or as many as there can be: then a loop costs most.
func drawCodes(t *rapid.T) []uint16 {
	if rapid.IntRange(0, 5).Draw(t, "full") == 0 {
		return slices.Repeat([]uint16{7}, rules.MaxCodes)
	}
	return rapid.SliceOfN(rapid.SampledFrom([]uint16{2, 42, 46, 47}), 0, 4).Draw(t, "codes")
}

func TestResetEmptiesTheFactsAndKeepsTheRoomOfTheCodes(t *testing.T) {
	f := listedFacts()
	f.Reset()
	if a := f.Any; a.Listed || len(a.Codes) != 0 || cap(a.Codes) == 0 || f.Payment != (risk.Payment{}) {
		t.Errorf("after Reset: %+v", f.Any)
	}
}

func TestEachFactHasATypeAndBothDocs(t *testing.T) {
	docs := rules.FactDocs()
	seen := map[string]bool{}
	for _, d := range docs {
		if d.Type == "" || d.Doc == "" || d.Chinese == "" {
			t.Errorf("fact %s: type %q, doc %q, Chinese %q", d.Name, d.Type, d.Doc, d.Chinese)
		}
		if seen[d.Name] {
			t.Errorf("fact %s stands twice", d.Name)
		}
		seen[d.Name] = true
	}
	for _, name := range []string{"payment.amount", "any.listed", "payee.codes", "mini_program.level", "agent.black", "other.advice", "STEP_UP"} {
		if !seen[name] {
			t.Errorf("fact %s is not documented", name)
		}
	}
}
