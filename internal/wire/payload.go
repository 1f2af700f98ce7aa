package wire

import "fmt"

// Payload writes one frame of n bytes, whose payload is put on the connection
// by write: by other means than ours, such as splice(2). If write fails, the
// connection is of no more use.
func (w *Writer) Payload(k Kind, n int, write func() error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if uint32(n) > limit(k) {
		return fmt.Errorf("agent protocol: %d bytes do not fit a frame %q", n, byte(k))
	}
	w.buf = appendHeader(w.buf, k, n)
	if err := w.flush(); err != nil {
		return err
	}
	return write()
}
