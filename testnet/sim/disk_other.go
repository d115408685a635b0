//go:build !linux

package sim

func isNoData(error) bool { return false }
