package sim

import (
	"errors"
	"syscall"
)

// isNoData reports that a file has only a hole left.
func isNoData(err error) bool { return errors.Is(err, syscall.ENXIO) }
