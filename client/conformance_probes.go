package client

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	apiv1 "github.com/risknet/risknet/api/v1"
	"github.com/risknet/risknet/risk"
	"github.com/risknet/risknet/token"
)

type conformanceRun struct {
	ctx    context.Context
	client *Client
	report *Conformance
}

func (r *conformanceRun) note(what, value string, err error) {
	r.report.Probes++
	if err != nil {
		r.report.Failures = append(r.report.Failures, fmt.Sprintf("%s %q: %s", what, value, status.Convert(err).Message()))
	}
}

// probes counts what a whole run notes.
func (s *conformanceSet) probes() int {
	n := len(s.Tokens) + len(commandForms)*len(s.Commands)
	for _, v := range s.Checks {
		n += 1 + len(v.Spelled) + len(v.Clear) + len(v.Refused)
	}
	return n
}

func (r *conformanceRun) check(v *checkVector) {
	for _, value := range append([]string{v.Listed}, v.Spelled...) {
		r.note(v.Kind, value, r.answers(v.Kind, value, true))
	}
	for _, value := range v.Clear {
		r.note(v.Kind, value, r.answers(v.Kind, value, false))
	}
	for _, value := range v.Refused {
		r.note(v.Kind, value, r.refuses(v.Kind, value))
	}
}

// answers asks with the raw value and with tokens.
func (r *conformanceRun) answers(kind, value string, listed bool) error {
	raw, err := r.raw(kind, value)
	if err != nil {
		return err
	}
	q := &Question{}
	if err := q.Set(kind, value); err != nil {
		return err
	}
	tokens, err := r.client.Check(r.ctx, q)
	switch {
	case err != nil:
		return err
	case raw.Listed != listed:
		return fmt.Errorf("listed is %v for the raw value, want %v", raw.Listed, listed)
	case tokens.Listed != listed:
		return fmt.Errorf("listed is %v for tokens, want %v", tokens.Listed, listed)
	case len(raw.Root) != len(risk.Hash{}) || raw.Size == 0:
		return errors.New("the answer names no size and root")
	}
	return nil
}

// refuses: what is no identifier is none to the node, which names it, and none here.
func (r *conformanceRun) refuses(kind, value string) error {
	known, err := risk.ParseKind(kind)
	if err != nil {
		return err
	}
	if _, err := token.Normalise(known, value); err == nil {
		return errors.New("this program takes it for an identifier")
	}
	_, err = r.raw(kind, value)
	switch {
	case err == nil:
		return errors.New("the node takes it for an identifier")
	case status.Code(err) != codes.InvalidArgument:
		return err
	case !strings.HasPrefix(status.Convert(err).Message(), "subjects[0]."):
		return fmt.Errorf("the refusal does not name the subject: %s", status.Convert(err).Message())
	}
	return nil
}

func (r *conformanceRun) raw(kind, value string) (answer *apiv1.CheckResponse, err error) {
	err = r.client.Ask(r.ctx, func(ctx context.Context, conn grpc.ClientConnInterface) error {
		answer, err = apiv1.NewChecksClient(conn).Check(ctx, &apiv1.CheckRequest{Subjects: []*apiv1.Subject{{Kind: kind, Value: value}}})
		return err
	})
	return answer, err
}

// tokenVector is an identifier, its normal form, and its token under the test key.
type tokenVector struct {
	Kind  string `json:"kind"`
	Raw   string `json:"raw"`
	Value string `json:"value"`
	Token string `json:"token"`
}

func (v *tokenVector) holds() error {
	kind, err := risk.ParseKind(v.Kind)
	if err != nil {
		return err
	}
	subject, err := token.Normalise(kind, v.Raw)
	if err != nil {
		return err
	}
	secret := [32]byte(bytes.Repeat([]byte{1}, 32))
	made := token.NewHasher(token.NewKey(1, secret)).Token(kind, subject.Value)
	switch {
	case subject.Value != v.Value:
		return fmt.Errorf("the normal form is %q, want %q", subject.Value, v.Value)
	case made.String() != v.Token:
		return fmt.Errorf("the token is %s, want %s", made, v.Token)
	}
	return nil
}

// commandVector is a signed command with its bodies, and its id.
type commandVector struct {
	Kind   string `json:"kind"`
	ID     string `json:"id"`
	Signed string `json:"signed"`
}

// commandForms are the ways in which each command is shown to the node, and what it
// answers: it reads them all, and they are of another network; it reads nothing of
// what is cut off or goes on.
var commandForms = []struct {
	name, answer string
	spoil        func(signed []byte) []byte
}{
	{"as it is", risk.WrongNetwork.String(), func(signed []byte) []byte { return signed }},
	{"cut off", risk.Malformed.String(), func(signed []byte) []byte { return signed[:len(signed)-1] }},
	{"with a byte too many", risk.Malformed.String(), func(signed []byte) []byte { return append(bytes.Clone(signed), 0) }},
}

// command shows a command to the node, and reads it here.
func (r *conformanceRun) command(v *commandVector) {
	raw, read := v.read()
	for _, form := range commandForms {
		err := read
		if err == nil {
			err = r.submits(form.spoil(raw), form.answer)
		}
		r.note("command "+form.name, v.Kind, err)
	}
}

func (v *commandVector) read() ([]byte, error) {
	raw, err := hex.DecodeString(v.Signed)
	if err != nil {
		return nil, err
	}
	signed, err := risk.DecodeSigned(raw)
	if err != nil {
		return nil, err
	}
	command, err := risk.DecodeCommand(signed.Header)
	if err != nil {
		return nil, err
	}
	again, err := command.Encode()
	switch {
	case err != nil:
		return nil, err
	case command.Params.Kind().String() != v.Kind || signed.ID().String() != v.ID:
		return nil, fmt.Errorf("this program reads a %s command %s", command.Params.Kind(), signed.ID())
	case !bytes.Equal(again, signed.Header) || !bytes.Equal(signed.Encode(), raw):
		return nil, errors.New("this program writes it otherwise")
	}
	return raw, nil
}

func (r *conformanceRun) submits(signed []byte, answer string) error {
	conn, err := r.client.Conn(r.client.Endpoint())
	if err != nil {
		return err
	}
	_, err = apiv1.NewCommandsClient(conn).Submit(r.ctx, &apiv1.SubmitRequest{Signed: signed})
	if err == nil || !strings.HasPrefix(status.Convert(err).Message(), answer+": ") {
		return fmt.Errorf("the node answers %v, want a refusal %s", err, answer)
	}
	return nil
}
