package rules_test

import (
	"strings"
	"testing"

	"github.com/risknet/risknet/rules"
)

func TestATestFileSaysWhatDiffers(t *testing.T) {
	p := compile(t, "payee.listed", "payment.amount > 100", "payment.amount > 100", "true")
	results, err := rules.RunTests(p, []byte(`
- name: as wanted
  phase: in
  payment: {amount: 101}
  listed: {payee: {level: 1}}
  want: {advice: limit, rules: [r1, r2, r0]}
- name: another advice and another rule
  phase: in
  payment: {amount: 101}
  want: {advice: deny, rules: [r0]}
- name: a shadow rule that is not wanted
  phase: post
  want: {advice: allow}
`))
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"", "advice is limit, want deny; rules are [r1 r2], want [r0]", "shadow rules are [r3], want []"} {
		if results[i].Diff != want {
			t.Errorf("%s: %q, want %q", results[i].Name, results[i].Diff, want)
		}
	}
}

func TestWhatIsListedAboutOneCountsForAny(t *testing.T) {
	p := compile(t, "any.level == 1 && any.reporters == 3 && 2 in any.codes && 46 in any.codes && any.black && any.hint && any.advice == DENY")
	results, err := rules.RunTests(p, []byte(`
- name: two listings
  phase: in
  listed:
    payee: {level: 2, codes: [02, 46], reporters: 3, hint: true, advice: deny}
    ip: {level: 1, codes: [46], reporters: 1, black: true, advice: step_up}
  want: {advice: step_up, rules: [r0]}
`))
	if err != nil || results[0].Diff != "" {
		t.Errorf("%v %+v", err, results)
	}
}

func TestFaultsOfATestFile(t *testing.T) {
	p := compile(t, "payee.listed")
	head := "- name: t\n  phase: in\n  "
	for text, want := range map[string]string{
		"{}": "1:1: a test file must be a list",
		"[]": "1:1: the file has no tests",
		head + "want: {advice: deny}\n  wants: 1\n":                               `4:3: test "t": unknown field "wants" in the test; did you mean "want"?`,
		head + "payment: {amont: 1}\n  want: {advice: deny}":                      `3:13: test "t": unknown field "amont" in payment; did you mean "amount"?`,
		head + "payment: {time: noon}\n  want: {advice: deny}":                    `3:19: test "t": payment.time must be RFC 3339`,
		head + "listed: {payeee: {}}\n  want: {advice: deny}":                     `3:12: test "t": "payeee" is neither a role nor a kind of subject; did you mean "payee"?`,
		head + "listed: {payee: {level: 4}}\n  want: {advice: deny}":              `3:27: test "t": level must be a whole number from 1 to 3`,
		head + "want: {advice: deny, rules: [r9]}":                                `3:32: test "t": the rule set has no rule "r9"`,
		"- name: t\n  phase: during\n  want: {advice: deny}":                      `2:10: test "t": phase: "during" is not a phase`,
		"- phase: in\n  want: {rules: []}":                                        `2:9: advice is missing`,
		head + "present: [moon]\n  want: {advice: deny}":                          `3:13: test "t": "moon" is neither a role nor a kind`,
		head + "payment: {purpose: fun}\n  want: {advice: deny}":                  `3:22: test "t": payment.purpose: "fun" is not known`,
		head + "listed: {ip: {black: yes}}\n  want: {advice: deny}":               `3:24: test "t": black must be true or false`,
		head + "listed: {ip: {}, ip: {}}\n  want: {advice: deny}":                 `3:20: test "t": "ip" stands twice in listed`,
		head + "listed: {ip: {codes: [x]}}\n  want: {advice: deny, rules: [r0, ]": "not YAML",
	} {
		_, err := rules.RunTests(p, []byte(text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\ngot  %v\nwant %s", text, err, want)
		}
	}
}
