package client

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	apiv1 "github.com/risknet/risknet/api/v1"
	"github.com/risknet/risknet/risk"
	"github.com/risknet/risknet/token"
)

// Question is one check before its identifiers are tokens. The zero value is
// ready; [Question.Set] fills it field by field.
type Question struct {
	Payment  *apiv1.Payment
	MinSize  uint64
	MaxAge   time.Duration
	Explain  bool
	subjects []askedSubject
}

type askedSubject struct {
	role    string
	subject token.Subject
}

// paymentFields are the fields of a check that are not identifiers.
var paymentFields = map[string]func(*apiv1.Payment, string) error{
	"transaction_id": func(p *apiv1.Payment, v string) error { return words(&p.TransactionId, v, risk.MaxNameBytes) },
	"time":           func(p *apiv1.Payment, v string) error { return named(&p.TimeMs, v, ParseTime) },
	"amount":         func(p *apiv1.Payment, v string) error { return named(&p.Amount, v, parseAmount) },
	"currency": func(p *apiv1.Payment, v string) error {
		return coded(&p.Currency, v, risk.IsCurrency, "three capital letters (ISO 4217), such as CNY")
	},
	"mcc": func(p *apiv1.Payment, v string) error {
		return coded(&p.Mcc, v, risk.IsMCC, "four digits (ISO 18245), such as 5411")
	},
	"channel": func(p *apiv1.Payment, v string) error { return words(&p.Channel, v, risk.MaxNameBytes) },
	"scene":   func(p *apiv1.Payment, v string) error { return words(&p.Scene, v, risk.MaxNameBytes) },
	"country": func(p *apiv1.Payment, v string) error {
		return coded(&p.Country, v, risk.IsCountry, "two capital letters (ISO 3166), such as CN")
	},
	"payer_country": func(p *apiv1.Payment, v string) error {
		return coded(&p.PayerCountry, v, risk.IsCountry, "two capital letters (ISO 3166), such as CN")
	},
	"phase": func(p *apiv1.Payment, v string) error {
		p.Phase = v
		_, err := risk.ParsePhase(v)
		return err
	},
	"purpose": func(p *apiv1.Payment, v string) error {
		p.Purpose = v
		_, err := risk.ParsePurpose(v)
		return err
	},
}

// coded takes a code that has the right shape.
func coded(into *string, text string, is func(string) bool, shape string) error {
	if !is(text) {
		return fmt.Errorf("%q is not %s", text, shape)
	}
	*into = text
	return nil
}

func parseAmount(text string) (int64, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("%q is not a whole number of minor units; write 1 yuan as 100", text)
	}
	return n, nil
}

// subjectField is what KIND or ROLE.KIND means.
type subjectField struct {
	role string
	kind risk.Kind
}

var subjectFields = func() map[string]subjectField {
	fields := map[string]subjectField{}
	for _, kind := range risk.AllKinds() {
		fields[kind.String()] = subjectField{"", kind}
		for role := risk.Role(1); role < risk.Roles; role++ {
			fields[role.String()+"."+kind.String()] = subjectField{role.String(), kind}
		}
	}
	return fields
}()

// QuestionFields lists the fields of a check that a column may be mapped to: a
// kind, a kind with its role in the payment such as payee.account, and what is
// known of the payment.
func QuestionFields() []string {
	fields := slices.Sorted(maps.Keys(paymentFields))
	var roles []string
	for _, kind := range risk.AllKinds() {
		fields = append(fields, kind.String())
	}
	for field := range subjectFields {
		if strings.Contains(field, ".") {
			roles = append(roles, field)
		}
	}
	slices.Sort(roles)
	return append(fields, roles...)
}

// Set reads a field by its name. An empty text leaves the field out.
func (q *Question) Set(field, text string) error {
	if text == "" {
		return nil
	}
	if f, ok := subjectFields[field]; ok {
		subject, err := token.Normalise(f.kind, text)
		if err != nil {
			return plain(err)
		}
		q.subjects = append(q.subjects, askedSubject{f.role, subject})
		return nil
	}
	set := paymentFields[field]
	if set == nil {
		return fmt.Errorf("%s: is not a field of a check; use a kind such as ip, or ROLE.KIND such as payee.account", field)
	}
	if q.Payment == nil {
		q.Payment = &apiv1.Payment{}
	}
	err := set(q.Payment, text)
	if err != nil && !strings.HasPrefix(err.Error(), field+": ") {
		err = fmt.Errorf("%s: %w", field, err)
	}
	return err
}

// check says what keeps the question from being asked.
func (q *Question) check() error {
	switch {
	case len(q.subjects) == 0 && q.Payment == nil:
		return errors.New("subject: is missing; name at least one identifier")
	case len(q.subjects) > risk.MaxSubjects:
		return fmt.Errorf("subject: %d are given; at most %d are allowed in one check", len(q.subjects), risk.MaxSubjects)
	}
	return nil
}

// request makes the tokens.
func (q *Question) request(k *Keyring, room []risk.Asked) (*apiv1.CheckRequest, []risk.Asked) {
	in := &apiv1.CheckRequest{Payment: q.Payment, MinSize: q.MinSize, MaxAgeMs: q.MaxAge.Milliseconds(),
		Explain: q.Explain, ScopesVersion: k.version, Subjects: make([]*apiv1.Subject, len(q.subjects))}
	for i := range q.subjects {
		in.Subjects[i], room = k.subject(q.subjects[i].role, q.subjects[i].subject, room)
	}
	return in, room
}

// Check asks one question. When scopes have come into use that the keyring does
// not know, it is fetched again.
func (c *Client) Check(ctx context.Context, q *Question) (*apiv1.CheckResponse, error) {
	if err := q.check(); err != nil {
		return nil, err
	}
	keys, err := c.Keyring(ctx)
	if err != nil {
		return nil, err
	}
	deadline := time.Now().Add(patience)
	for wait := firstWait; ; wait = nextWait(wait) {
		var answer *apiv1.CheckResponse
		in, _ := q.request(keys, nil)
		err := c.Ask(ctx, func(ctx context.Context, conn grpc.ClientConnInterface) (err error) {
			answer, err = apiv1.NewChecksClient(conn).Check(ctx, in)
			return err
		})
		if status.Code(err) != codes.FailedPrecondition || !time.Now().Before(deadline) || !pause(ctx, wait) {
			return answer, err
		}
		if keys, err = c.FreshKeyring(ctx); err != nil {
			return nil, err
		}
	}
}
