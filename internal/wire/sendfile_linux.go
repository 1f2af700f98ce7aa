package wire

import (
	"net"
	"syscall"
)

// sendfile sends up to n bytes of src at off and returns how many went. Fewer
// than n without an error means: go on by other means.
func (w *Writer) sendfile(src Content, off int64, n int) (int, error) {
	conn, ok := w.conn.(*net.UnixConn)
	file, isFile := src.(interface{ Fd() uintptr })
	if !ok || !isFile {
		return 0, nil
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, nil
	}
	sent := 0
	var errno error
	err = raw.Write(func(fd uintptr) bool {
		for sent < n {
			m, err := syscall.Sendfile(int(fd), int(file.Fd()), &off, n-sent)
			switch {
			case m > 0:
				sent += m
			case err == syscall.EINTR:
			case err == syscall.EAGAIN:
				return false
			default:
				errno = err
				return true // the end of the file, or not for sendfile
			}
		}
		return true
	})
	switch errno {
	case syscall.EPIPE, syscall.ECONNRESET:
		return sent, &net.OpError{Op: "write", Net: "unix", Err: errno}
	}
	return sent, err
}
