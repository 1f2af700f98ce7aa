//go:build linux

package agent

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/pocketdock/pocketdock/internal/wire"
)

// fail makes the error that a client is told.
func fail(code, format string, args ...any) *wire.Error {
	return &wire.Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// failErrno is fail for an error number of the kernel's.
func failErrno(path string, what string, err error) *wire.Error {
	e := &wire.Error{Code: wire.CodeOther, Message: what + ": " + err.Error(), Path: wire.Path(path)}
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return e
	}
	e.Errno = int(errno)
	switch errno {
	case syscall.ENOENT:
		e.Code = wire.CodeNotFound
	case syscall.EACCES, syscall.EPERM:
		e.Code = wire.CodePermission
	case syscall.ENOTDIR:
		e.Code = wire.CodeNotDir
	case syscall.EAGAIN, syscall.ENOMEM, syscall.EMFILE, syscall.ENFILE:
		e.Code = wire.CodeResource
	case syscall.ENOSPC, syscall.EDQUOT:
		e.Code = wire.CodeNoSpace
	}
	return e
}
