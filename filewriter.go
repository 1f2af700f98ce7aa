package pocketdock

import (
	"context"
	"errors"
	"io"
	"sync"

	"github.com/pocketdock/pocketdock/internal/wire"
)

// A FileWriter writes a file of a container as a stream. What is written
// shows under the file's name when Close has returned nil, and not before;
// until then, and when anything fails, the file is what it was. It holds a
// connection: one that is neither closed nor aborted ends with its context.
//
// Write is to be called by one goroutine at a time; Close and Abort may be
// called at any time, by any.
type FileWriter struct {
	pipe *io.PipeWriter
	done chan struct{} // closed when info and err are final
	info *FileInfo
	err  error

	stop func() bool // the context's end no longer aborts
	once sync.Once   // of Close and Abort: the first one decides
}

var errAborted = errors.New("the file was aborted")

// CreateFile writes a file as a stream, as [Container.CopyIn] does of a
// reader: whole or not at all, with missing parent directories made. The
// caller must end it with Close, which gives the file its name, or with Abort:
//
//	w, err := box.CreateFile(ctx, "report.csv", pocketdock.FileOptions{})
//	if err != nil {
//		return err
//	}
//	defer w.Abort()
//	…
//	return w.Close()
//
// The context is used until then; its end aborts the file. That the file
// cannot be written may be told by Write or Close only.
func (c *Container) CreateFile(ctx context.Context, path string, opts FileOptions) (*FileWriter, error) {
	if err := checkPath(path); err != nil {
		return nil, err
	}
	x, err := c.enter(ctx)
	if err != nil {
		return nil, err
	}
	f := opts.wire(path)
	f.Parents = true
	pr, pw := io.Pipe()
	w := &FileWriter{pipe: pw, done: make(chan struct{})}
	// Whatever ends the operation ends a Write that waits, too; the context
	// need not reach an executor that waits for the pipe.
	w.stop = context.AfterFunc(ctx, func() { pw.CloseWithError(context.Cause(ctx)) })
	go func() {
		defer close(w.done)
		defer w.stop()
		var st *wire.Stat
		st, w.err = x.create(ctx, wire.OpWrite, f, pr)
		if w.err == nil {
			w.info = fileInfo(st)
		}
		pr.CloseWithError(w.failed())
	}()
	return w, nil
}

// failed is what a Write after the end of the operation says.
func (w *FileWriter) failed() error {
	if w.err != nil {
		return w.err
	}
	return io.ErrClosedPipe
}

// Write sends p. Each call is at least one message to the container: put a
// [bufio.Writer] in front of many small ones.
func (w *FileWriter) Write(p []byte) (int, error) { return w.pipe.Write(p) }

// Close ends the content, waits until the container has stored it, and gives
// the file its name. With an error the file is what it was before, or what
// became of it is not known because the container went away. After Abort it is
// an error.
func (w *FileWriter) Close() error {
	w.once.Do(func() {
		if w.stop() { // else the context has ended, and must win
			w.pipe.Close()
		}
	})
	<-w.done
	return w.err
}

// Info describes the file as it was when Close had returned nil; before, and
// after a failure, it is nil.
func (w *FileWriter) Info() *FileInfo {
	select {
	case <-w.done:
		return w.info
	default:
		return nil
	}
}

// Abort gives the file up and removes what was written of it. After Close it
// does nothing.
func (w *FileWriter) Abort() {
	w.once.Do(func() { w.pipe.CloseWithError(errAborted) })
	<-w.done
}
