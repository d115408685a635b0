package client

// SumMetric is open to its fuzz test.
var SumMetric = sumMetric

// ToNodes is open to its test.
var ToNodes = toNodes
