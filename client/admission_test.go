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
	if err := app.Cosign(key, second); err != nil {
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
	app, err := client.Draft(n.author(), client.Admission{Name: "acme", Role: risk.RoleMember, Keys: []risk.PublicKey{public, slipped}})
	if err != nil {
		t.Fatal(err)
	}
	if err := app.Cosign(key); err == nil || !strings.Contains(err.Error(), "brings the key "+slipped.ID().String()) || app.Signature != nil {
		t.Errorf("with another key in it: %v", err)
	}
	if err := app.Cosign(stranger, public); err == nil || !strings.Contains(err.Error(), "is to be signed with") {
		t.Errorf("signed with another key: %v", err)
	}
}
