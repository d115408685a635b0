//go:build !amd64

package store

// cleanRegisters has nothing to do where there is no AVX.
func cleanRegisters() {}
