// Package industry holds the starter rule set of the network: about twenty rules
// that a payment institution can publish on its first day, with the tests that
// show what each of them does. It owns text only; it has no state and starts
// nothing, and anything may read it at any time.
//
// The advice that a listing itself carries is added by whoever checks a payment.
// The rules raise it where the payment makes the listing graver, and speak of
// patterns that no listing names.
package industry

import _ "embed"

// Source is the rule set, as YAML.
//
//go:embed rules.yaml
var Source []byte

// Tests is its test file, as YAML.
//
//go:embed tests.yaml
var Tests []byte
