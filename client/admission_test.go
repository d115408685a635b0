package client_test

import (
	"crypto/ed25519"
	"strings"
	"testing"

	"github.com/risknet/risknet/client"
	"github.com/risknet/risknet/risk"
)

func newKey(t *testing.T) (ed25519.PrivateKey, risk.PublicKey) {
	t.Helper()
	public, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	return key, risk.PublicKey{Algorithm: risk.Ed25519, Bytes: [32]byte(public)}
}

// The hub drafts, the applicant signs, the hub sends, and the law takes it.
func TestAnApplicationGoesThroughTwoHands(t *testing.T) {
	n := newNetwork(t)
	key, public := newKey(t)
	_, second := newKey(t)
	app, err := client.Draft(n.author(), client.Admission{Name: "acme", Role: risk.RoleMember, Keys: []risk.PublicKey{public, second}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := app.Send(t.Context(), n.author()); err == nil || !strings.Contains(err.Error(), "not signed by the applicant") {
		t.Errorf("before the applicant signed: %v", err)
	}
	if err := app.Cosign(key, client.Admission{Name: "acme", Role: risk.RoleMember, Keys: []risk.PublicKey{second}}); err != nil {
		t.Fatal(err)
	}
	if _, err := app.Send(t.Context(), n.author()); err != nil {
		t.Fatal(err)
	}
	reporter, err := risk.ParseID(app.Reporter)
	if err != nil {
		t.Fatal(err)
	}
	inst, err := risk.LoadInstitution(n, reporter)
	if err != nil || inst == nil || inst.Stage != risk.StageApplied || inst.Keys != 2 || inst.Commitment != risk.CommitInstitution(app.Salt, reporter, "acme") {
		t.Errorf("the institution is %+v, %v", inst, err)
	}
}

// A hub that slips in a key of its own could report in the applicant's name.
func TestAnApplicantSignsForItsOwnKeysAlone(t *testing.T) {
	n := newNetwork(t)
	key, public := newKey(t)
	stranger, slipped := newKey(t)
	acme := client.Admission{Name: "acme", Role: risk.RoleMember, Keys: []risk.PublicKey{public}}
	app, err := client.Draft(n.author(), client.Admission{Name: "acme", Role: risk.RoleMember, Keys: []risk.PublicKey{public, slipped}})
	if err != nil {
		t.Fatal(err)
	}
	if err := app.Cosign(key, acme); err == nil || !strings.Contains(err.Error(), "brings the key "+slipped.ID().String()) || app.Signature != nil {
		t.Errorf("with another key in it: %v", err)
	}
	if err := app.Cosign(stranger, acme); err == nil || !strings.Contains(err.Error(), "is to be signed with") {
		t.Errorf("signed with another key: %v", err)
	}
}

// A hub that drafts for another name, or another role, than the applicant's.
func TestAnApplicantSignsForItsOwnNameAndRole(t *testing.T) {
	n := newNetwork(t)
	key, public := newKey(t)
	app, err := client.Draft(n.author(), client.Admission{Name: "another bank", Role: risk.RoleAuditor, Keys: []risk.PublicKey{public}})
	if err != nil {
		t.Fatal(err)
	}
	for want, of := range map[string]client.Admission{
		"name: the application does not commit to": {Name: "acme", Role: risk.RoleAuditor},
		"role: the application is one of":          {Name: "another bank", Role: risk.RoleMember},
	} {
		if err := app.Cosign(key, of); err == nil || !strings.Contains(err.Error(), want) || app.Signature != nil {
			t.Errorf("%v, not %q", err, want)
		}
	}
}
