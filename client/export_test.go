package client

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
