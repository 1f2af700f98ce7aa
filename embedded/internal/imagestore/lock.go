package imagestore

import (
	"context"
	"os"
	"time"
)

// lock waits for a lock of the store, in this process and in others. Closing
// the file releases it, as does the end of the process, however it ends.
func (s *Store) lock(ctx context.Context, name string, exclusive bool) (*os.File, error) {
	f, err := s.root.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	for wait := time.Millisecond; ; wait = min(2*wait, 50*time.Millisecond) {
		ok, err := tryLock(f, exclusive)
		if ok {
			return f, nil
		}
		if err != nil {
			f.Close()
			return nil, &os.PathError{Op: "lock", Path: f.Name(), Err: err}
		}
		select {
		case <-ctx.Done():
			f.Close()
			return nil, context.Cause(ctx)
		case <-time.After(wait):
		}
	}
}
