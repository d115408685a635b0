package node

import (
	"strings"
	"testing"
	"time"

	apiv1 "github.com/risknet/risknet/api/v1"
	"github.com/risknet/risknet/risk"
	"github.com/risknet/risknet/store"
	"github.com/risknet/risknet/token"
)

// A check that is under way when an epoch is opened whose key this node lacks, and
// something is listed under it, must not be answered from that state: it has not asked
// for what is listed there.
func TestACheckUnderWayIsNotAnsweredWithoutAKey(t *testing.T) {
	const phone = "+8613800138000"
	secret := [32]byte{2, 31: 9}
	ring, err := token.NewKeyring(token.NewKey(2, secret))
	if err != nil {
		t.Fatal(err)
	}
	listed, err := ring.List(risk.KindPhone, phone)
	if err != nil {
		t.Fatal(err)
	}
	request := &apiv1.CheckRequest{Subjects: []*apiv1.Subject{{Kind: "phone", Role: "payee", Value: phone}}}
	for range 14 { // they take long to come into their normal form
		request.Subjects = append(request.Subjects, &apiv1.Subject{Kind: "domain", Value: strings.Repeat("ü.", 28) + "example"})
	}
	for range 20 {
		d := newDesk(t)
		d.fatal = make(chan error, 1)
		content := risk.ListingBody{Token: listed.Token, Epoch: 2, Part: risk.PartSuspect, Action: risk.Deny, Purposes: risk.AllPurposes, Tier: 2}
		data, err := content.Encode()
		if err != nil {
			t.Fatal(err)
		}
		body := risk.NewBody(data)
		entries := []store.Entry{
			d.entry(d.hub, &risk.OpenEpoch{Epoch: 2, Commitment: risk.CommitEpochKey(secret)}, nil, nil),
			d.entry(d.acq, &risk.Listings{}, []risk.Item{{Op: risk.ItemPublish, Kind: risk.KindPhone, Code: 12, Level: 1, List: risk.ListBlack,
				Expiry: d.at.Add(24 * time.Hour).UnixMilli(), Origin: risk.Origin{Kind: risk.OriginOwn}, Commitment: body.Commit()}}, []risk.Body{body}),
		}
		s, before := newCheckService(d.Node), d.store.Head().Size
		under, done := make(chan struct{}, 1), make(chan struct{})
		go func() {
			defer close(done)
			for d.lacksKey() == nil {
				answer, err := s.answerMessage(t.Context(), request, d.creds.Identity)
				if err == nil && answer.Size > before && !answer.Listed {
					t.Errorf("the state of size %d lists the payee, and the answer is %s", answer.Size, answer.Advice)
				}
				select {
				case under <- struct{}{}:
				default:
				}
			}
		}()
		<-under
		for _, a := range d.store.Apply(entries) {
			if a.Err != nil || a.Result.Refusal != nil {
				t.Fatal(a.Err, a.Result.Refusal)
			}
		}
		<-done
	}
}
