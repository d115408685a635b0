package client

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	apiv1 "github.com/risknet/risknet/api/v1"
	"github.com/risknet/risknet/risk"
)

// Application is an institution's wish to be taken in, on its way between the hub
// and the applicant: the hub drafts it, the applicant signs it, the hub sends it. It
// is a JSON file without secrets, but for the salt, which opens the commitment to the
// applicant's name.
type Application struct {
	Header    []byte   `json:"header"`
	Reporter  string   `json:"reporter"`
	Salt      [16]byte `json:"salt"`
	Signature []byte   `json:"signature,omitempty"` // the applicant's
}

// Draft makes an application for a new reporting id. It is valid for a day.
func Draft(author *Author, a Admission) (*Application, error) {
	app, reporter := &Application{}, risk.ID{}
	_, _ = rand.Read(reporter[:]) // never fails since Go 1.24
	_, _ = rand.Read(app.Salt[:])
	app.Reporter = reporter.String()
	now := time.Now()
	c := &risk.Command{Network: author.Network, Author: author.Reporter, Time: now.UnixMilli(), NotAfter: now.UnixMilli() + risk.MaxNotAfterMillis,
		Params: &risk.Apply{Reporter: reporter, Role: a.Role, Keys: a.Keys, Commitment: risk.CommitInstitution(app.Salt, reporter, a.Name)}}
	for _, key := range author.Keys {
		c.Signers = append(c.Signers, risk.Signer{Reporter: author.Reporter, Key: publicKey(key.Public().(ed25519.PublicKey)).ID(), Algorithm: risk.Ed25519})
	}
	c.Signers = append(c.Signers, risk.Signer{Reporter: reporter, Key: a.Keys[0].ID(), Algorithm: risk.Ed25519})
	var err error
	app.Header, err = c.Encode()
	return app, err
}

// ParseApplication reads the file.
func ParseApplication(text []byte) (*Application, *risk.Apply, error) {
	app := &Application{}
	if err := json.Unmarshal(text, app); err != nil {
		return nil, nil, fmt.Errorf("application: %w; give the file that `institution apply --draft` has written", err)
	}
	command, err := risk.DecodeCommand(app.Header)
	if err != nil {
		return nil, nil, fmt.Errorf("application: %w", err)
	}
	params, ok := command.Params.(*risk.Apply)
	if !ok || params.Reporter.String() != app.Reporter {
		return nil, nil, errors.New("application: is none; give the file that `institution apply --draft` has written")
	}
	return app, params, nil
}

// Cosign signs an application with one of the applicant's own keys, if it is what the
// applicant asked for: its name, which the ledger holds as a commitment that the hub
// can open to the auditor, its role, and no keys but the one that signs and those of
// the admission. Whoever slipped in a key could report in the applicant's name; whoever
// committed to another's name could lay the applicant's reports at that one's door.
func (a *Application) Cosign(key ed25519.PrivateKey, of Admission) error {
	command, err := risk.DecodeCommand(a.Header)
	if err != nil {
		return err
	}
	params, ok := command.Params.(*risk.Apply)
	if !ok {
		return errors.New("application: is none")
	}
	own := publicKey(key.Public().(ed25519.PublicKey))
	switch last := command.Signers[len(command.Signers)-1]; {
	case last.Key != own.ID() || last.Reporter != params.Reporter:
		return fmt.Errorf("key: is %s, and the application is to be signed with %s", own.ID(), last.Key)
	case params.Role != of.Role:
		return fmt.Errorf("role: the application is one of a %s; have the hub draft it anew if you are a %s", params.Role, of.Role)
	case params.Commitment != risk.CommitInstitution(a.Salt, params.Reporter, of.Name):
		return fmt.Errorf("name: the application does not commit to %q; have the hub draft it anew with this very name, or give the one that it was told", of.Name)
	}
	for _, k := range params.Keys {
		if k != own && !slices.Contains(of.Keys, k) {
			return fmt.Errorf("keys: the application brings the key %s too; name its file with --reporter-key if it is yours, and do not sign otherwise", k.ID())
		}
	}
	a.Signature = ed25519.Sign(key, risk.SigningBytes(a.Header))
	return nil
}

// Network is the id of the network that the application is to.
func (a *Application) Network() (risk.Hash, error) {
	command, err := risk.DecodeCommand(a.Header)
	if err != nil {
		return risk.Hash{}, err
	}
	return command.Network, nil
}

// Send has the hub sign the application too, and sends it.
func (a *Application) Send(ctx context.Context, author *Author) (*apiv1.Receipt, error) {
	if len(a.Signature) == 0 {
		return nil, errors.New("application: is not signed by the applicant; have it run `institution apply --cosign FILE`")
	}
	signed := &risk.Signed{Header: a.Header}
	for _, key := range author.Keys {
		signed.Signatures = append(signed.Signatures, ed25519.Sign(key, risk.SigningBytes(a.Header)))
	}
	signed.Signatures = append(signed.Signatures, a.Signature)
	return author.Send(ctx, signed)
}

// ParsePurposes reads names with commas between.
func ParsePurposes(names []string) (risk.Purpose, error) {
	var all risk.Purpose
	for _, name := range names {
		p, err := risk.ParsePurpose(name)
		if err != nil {
			return 0, err
		}
		all |= p
	}
	return all, nil
}

// FindInstitution gives what the network says of a reporting id.
func (c *Client) FindInstitution(ctx context.Context, reporter string) (*apiv1.Institution, error) {
	list, err := c.Institutions(ctx)
	if err != nil {
		return nil, err
	}
	at := slices.IndexFunc(list, func(i *apiv1.Institution) bool { return i.Reporter == reporter })
	if at < 0 {
		return nil, fmt.Errorf("reporter: no institution %s; see institution list", reporter)
	}
	return list[at], nil
}
