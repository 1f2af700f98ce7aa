package wire

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
)

// queueSize is how many bytes of frames wait before they leave by themselves.
// A system call per small frame would be most of the cost of a long listing.
const queueSize = 32 << 10

// Queue is [Writer.Frame] for a frame that may wait for those after it: it
// leaves, in order, with the next Frame, with [Writer.Flush], or when enough
// have come together.
func (w *Writer) Queue(k Kind, payload []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if uint32(len(payload)) > limit(k) {
		return fmt.Errorf("agent protocol: %d bytes do not fit a frame %q", len(payload), byte(k))
	}
	if len(payload) > queueSize {
		return w.frame(k, payload)
	}
	w.buf = appendHeader(w.buf, k, len(payload))
	w.buf = append(w.buf, payload...)
	if len(w.buf) >= queueSize {
		return w.flush()
	}
	return nil
}

// QueueJSON queues v as one frame.
func (w *Writer) QueueJSON(k Kind, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return w.Queue(k, b)
}

// Flush sends what was queued.
func (w *Writer) Flush() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.flush()
}

func (w *Writer) flush() error {
	if len(w.buf) == 0 {
		return nil
	}
	_, err := w.w.Write(w.buf)
	w.buf = w.buf[:0]
	if cap(w.buf) > 64<<10 {
		w.buf = nil
	}
	return err
}

func appendHeader(b []byte, k Kind, n int) []byte {
	return binary.BigEndian.AppendUint32(append(b, byte(k)), uint32(n))
}
