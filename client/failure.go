package client

import (
	"context"
	"fmt"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	apiv1 "github.com/risknet/risknet/api/v1"
	"github.com/risknet/risknet/risk"
)

// CallError is what a node, or the way to it, answered. Its code is the gRPC
// code; its text is one sentence for a person.
type CallError struct {
	Address string
	Status  *status.Status
	Alone   bool // no other node can be asked for it
}

func (e *CallError) Error() string {
	switch e.Status.Code() {
	case codes.Unavailable:
		if !strings.HasPrefix(e.Status.Message(), "connection error") && !strings.HasPrefix(e.Status.Message(), "error reading") {
			return fmt.Sprintf("endpoint: %s cannot answer: %s", e.Address, e.Status.Message())
		}
		other := ", or ask another with --endpoint"
		if e.Alone {
			other = ""
		}
		return fmt.Sprintf("endpoint: no answer from %s (%s); see that the node runs%s", e.Address, reason(e.Status.Message()), other)
	case codes.DeadlineExceeded:
		return fmt.Sprintf("endpoint: %s did not answer in time; ask again or ask another node", e.Address)
	default:
		return e.Status.Message()
	}
}

// reason takes the wrapping off a failed connection.
func reason(message string) string {
	message = strings.TrimSuffix(strings.TrimPrefix(message, `connection error: desc = "`), `"`)
	message = strings.TrimPrefix(message, "transport: ")
	for _, other := range []string{"missing selected ALPN property", "first record does not look like a TLS handshake"} {
		if strings.Contains(message, other) {
			return "something else than a node's API listens there; `risknet cluster status` shows the addresses"
		}
	}
	return strings.TrimPrefix(message, "Error while dialing: ")
}

// GRPCStatus lets [status.Code] see the code.
func (e *CallError) GRPCStatus() *status.Status { return e.Status }

// explain turns an error of a call into a sentence.
func explain(address string, err error) error {
	if err == nil {
		return nil
	}
	s, ok := status.FromError(err)
	switch {
	case !ok:
		return err
	case s.Code() == codes.Canceled:
		return fmt.Errorf("the call to %s was given up: %w", address, context.Canceled)
	}
	return &CallError{Address: address, Status: s}
}

// RefusedError is a command that the network recorded and refused, or did not
// take in at all.
type RefusedError struct{ Receipt *apiv1.Receipt }

func (e *RefusedError) Error() string {
	r := e.Receipt
	if r.Field == "" && r.Text == "" {
		return r.Result + ": " + cureOf(r.Result)
	}
	return fmt.Sprintf("%s: %s: %s", r.Result, r.Field, r.Text)
}

// cures say what to do about a refusal of which only the kind is known.
var cures = map[risk.Refusal]string{
	risk.Malformed:     "the item is not in this protocol's form; use a risknet of the network's version",
	risk.UnknownKey:    "the network does not know the signing key; add it with one that it knows, or have the hub do so",
	risk.KeyRetired:    "the signing key was retired; sign with one that is in use, or have the hub add one",
	risk.TooNew:        "this machine's clock is ahead of the network's; set it",
	risk.TooOld:        "the command came too late; send it again",
	risk.NotPermitted:  "this institution may not do this: its role or its stage is another (risknet institution list), or the listing is another institution's",
	risk.NeedsCosigner: "so broad a prefix or domain needs two hub keys; name more cosigning_keys in the profile",
	risk.NotFound:      "there is no such listing",
	risk.Ended:         "the listing has ended; a terminal state never comes back",
	risk.BadField:      "a field has a value that the network does not allow",
	risk.BadExpiry:     "the expiry is missing, past or further away than its code allows; see list lives",
	risk.EpochClosed:   "the token key changed on the way; run the import again",
	risk.TooMany:       "a limit of the network is reached",
	risk.AlreadyExists: "it exists already",
	risk.NothingToDo:   "there is nothing to do",
}

func cureOf(name string) string {
	kind, err := risk.ParseRefusal(name)
	if err == nil && cures[kind] != "" {
		return cures[kind]
	}
	return "the network refused it"
}
