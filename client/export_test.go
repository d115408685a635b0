package client

// SumMetric is open to its fuzz test.
var SumMetric = sumMetric
