// Package enrol lets a node into a network: the hub's operator invites, the new
// node's operator joins with the token that the invitation gave.
package enrol
