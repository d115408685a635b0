package main

import "slices"

// suitesOf are all rows, in the order of the report.
func suitesOf(o options) []suite {
	one := &network{size: 1, rules: 100}
	five := &network{size: 5}
	three := &network{size: 3}
	return []suite{
		{trials: []trial{insideTrial(o)}},
		{network: one, trials: slices.Concat(one.checkTrials(o), one.overloadTrials(o), one.redisTrials(o))},
		{network: five, trials: five.protectionTrials(o)},
		{trials: millionTrials(o)},
		{network: three, trials: three.manyTrials(o)},
		{trials: []trial{truthTrial(o)}},
	}
}
