//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly)

package staging

import (
	"errors"
	"os"
)

const (
	canLock   = false
	openFlags = os.O_RDONLY
)

var errHeld = errors.New("locked")

func lock(*os.File) error { return errors.ErrUnsupported }
