package imagestore

import (
	"errors"
	"fmt"
)

// What an error of this package is, for errors.Is. Errors that are none of
// these are the host's: no space, no permission.
var (
	ErrNotFound = errors.New("no such image")
	ErrConflict = errors.New("image in conflict") // Remove without force
	ErrInvalid  = errors.New("not valid")         // a name, or an archive
)

// kind makes an error one of the above without repeating it.
type kind struct {
	of  error
	err error
}

func (k *kind) Error() string        { return k.err.Error() }
func (k *kind) Unwrap() error        { return k.err }
func (k *kind) Is(target error) bool { return target == k.of }

func invalidf(format string, args ...any) error {
	return &kind{ErrInvalid, fmt.Errorf(format, args...)}
}

func notFound(name string) error {
	return &kind{ErrNotFound, fmt.Errorf("no such image: %.200s", name)}
}
