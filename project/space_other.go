//go:build !linux

package project

import "errors"

type space struct {
	free, total int64
	noexec      bool
}

func spaceOf(string) (space, error) { return space{}, errors.ErrUnsupported }
