//go:build unix

package pocketdock

import "syscall"

// ended reports, without waiting, whether the other side of a connection has
// closed it: its reader may not have come to know yet.
func ended(conn byteStream) (over bool) {
	sc, ok := conn.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return true
	}
	err = raw.Control(func(fd uintptr) {
		var b [1]byte
		n, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		over = err == nil && n == 0 || err == syscall.ECONNRESET
	})
	return over || err != nil
}
