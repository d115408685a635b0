// Package sim runs a whole network on fake time, over a network in memory that
// can delay, drop, reorder and cut, on disks that can lose what was not synced.
package sim
