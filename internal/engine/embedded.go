package engine

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"sync"
)

// EmbeddedName is the name of the engine that a program has in itself, and
// how the paths of its sockets begin, which are none: "embedded:" and the
// directory that the engine keeps everything in.
const EmbeddedName = "embedded"

const embeddedPrefix = EmbeddedName + ":"

// An Embedded is an engine in this program.
type Embedded struct {
	// Dir is where it keeps everything unless another directory is named.
	Dir func() (string, error)
	// Dial makes a connection to the engine in a directory.
	Dial func(ctx context.Context, dir string) (net.Conn, error)
}

var (
	embeddedMu sync.Mutex
	embedded   *Embedded
)

// Register makes the engine that this program has in itself known: package
// embedded does it when it is imported.
func Register(e Embedded) {
	embeddedMu.Lock()
	defer embeddedMu.Unlock()
	embedded = &e
}

// registered is the engine of this program, or the error that says that there
// is none.
func registered() (*Embedded, error) {
	embeddedMu.Lock()
	defer embeddedMu.Unlock()
	if embedded == nil {
		return nil, fmt.Errorf("this program does not have the embedded engine in it: it has to import github.com/pocketdock/pocketdock/embedded, which is for Linux only")
	}
	return embedded, nil
}

// IsEmbedded reports that a path is the embedded engine's.
func IsEmbedded(path string) bool { return strings.HasPrefix(path, embeddedPrefix) }

// embeddedPath is the path of the embedded engine's own directory.
func embeddedPath() (string, error) {
	e, err := registered()
	if err != nil {
		return embeddedPrefix, err
	}
	dir, err := e.Dir()
	return embeddedPrefix + dir, err
}

// dial connects to the engine at a path.
func dial(ctx context.Context, path string) (net.Conn, error) {
	if !IsEmbedded(path) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	}
	e, err := registered()
	if err != nil {
		return nil, err
	}
	dir := strings.TrimPrefix(path, embeddedPrefix)
	if !filepath.IsAbs(dir) {
		return nil, fmt.Errorf("%s: the directory must be an absolute path", path)
	}
	return e.Dial(ctx, dir)
}

// Embedded reports that this is the embedded engine, of this program or served
// by another.
func (e *Engine) Embedded() bool { return e.Name == EmbeddedName }
