package client

import apiv1 "github.com/risknet/risknet/api/v1"

// Encode gives a question as an asker sends it, and as a message.
func Encode(q *Question, k *Keyring) ([]byte, *apiv1.CheckRequest) {
	in, _ := q.request(k, nil)
	data, _ := q.appendCheck(nil, k, nil)
	return data, in
}

// SumMetric is open to its fuzz test.
var SumMetric = sumMetric

// ToNodes is open to its test.
var ToNodes = toNodes

// CountAnswers is what a load counts in a message.
func CountAnswers(data []byte) (checks, errs int, err error) {
	var a loadAnswer
	err = a.read(data)
	return a.checks, a.errs, err
}
