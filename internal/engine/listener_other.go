//go:build !linux

package engine

import "context"

// Listener is told on Linux only.
func (e *Engine) Listener(context.Context) (uid int, ok bool) { return 0, false }
