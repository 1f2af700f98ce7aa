package pocketdock_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"testing"
	"testing/fstest"
	"time"

	"github.com/pocketdock/pocketdock"
)

// content is what a file in the container has, or "" if there is none.
func content(t *testing.T, box *pocketdock.Container, path string) string {
	t.Helper()
	b, err := box.ReadFile(t.Context(), path)
	if err != nil && !errors.Is(err, pocketdock.ErrFileNotFound) {
		t.Fatal(err)
	}
	return string(b)
}

func TestSuiteCreateFile(t *testing.T) {
	onEach(t, agentWays, func(t *testing.T, box *pocketdock.Container) {
		ctx := t.Context()
		const path = "/tmp/stream/file"
		w, err := box.CreateFile(ctx, path, pocketdock.FileOptions{Mode: 0o600})
		if err != nil {
			t.Fatal(err)
		}
		for i := range 3 {
			if _, err := fmt.Fprintf(w, "line %d\n", i); err != nil {
				t.Fatal(err)
			}
		}
		if got := content(t, box, path); got != "" {
			t.Errorf("before Close the file has %q", got)
		}
		if w.Info() != nil {
			t.Error("before Close it is described")
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		const want = "line 0\nline 1\nline 2\n"
		if got := content(t, box, path); got != want {
			t.Errorf("got %q", got)
		}
		if i := w.Info(); i == nil || i.Size != int64(len(want)) || i.Mode != 0o600 {
			t.Errorf("Info is %+v", i)
		}
		w.Abort() // does nothing
		if _, err := w.Write([]byte("more")); err == nil {
			t.Error("a Write after Close succeeded")
		}

		w, err = box.CreateFile(ctx, path, pocketdock.FileOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(bytes.Repeat([]byte("x"), 1<<20)); err != nil {
			t.Fatal(err)
		}
		w.Abort()
		if err := w.Close(); err == nil {
			t.Error("a Close after Abort succeeded")
		}

		cause := errors.New("changed my mind")
		ctx, cancel := context.WithCancelCause(ctx)
		w, err = box.CreateFile(ctx, path, pocketdock.FileOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		cancel(cause)
		if err := w.Close(); !errors.Is(err, cause) {
			t.Errorf("Close after the context's end: %v", err)
		}
		if got := content(t, box, path); got != want {
			t.Errorf("an aborted one left %.40q", got)
		}
		mustRun(t, box, pocketdock.Shell("test $(ls -A /tmp/stream | wc -l) = 1"))
		if err := box.Remove(t.Context(), "/tmp/stream", pocketdock.FileOptions{}); err != nil {
			t.Error(err)
		}
	})
}

// TestSuiteCreateFileRefused: what the container refuses is told by Write or
// Close, and Write does not block for ever.
func TestSuiteCreateFileRefused(t *testing.T) {
	onEach(t, agentWays, func(t *testing.T, box *pocketdock.Container) {
		w, err := box.CreateFile(t.Context(), "/etc/refused", pocketdock.FileOptions{User: "sandbox"})
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.Copy(w, pattern{}) // ends when it is refused
		if !errors.Is(err, pocketdock.ErrPermission) {
			t.Errorf("Write: %v", err)
		}
		if err := w.Close(); !errors.Is(err, pocketdock.ErrPermission) {
			t.Errorf("Close: %v", err)
		}
	})
}

func TestSuiteFS(t *testing.T) {
	onEach(t, []string{socketWay, bridgeWay}, func(t *testing.T, box *pocketdock.Container) {
		ctx := t.Context()
		mustRun(t, box, pocketdock.Shell(`mkdir -p /tmp/view/a/b /tmp/view/empty && cd /tmp/view && echo one >file && : >zero &&
			echo two >a/b/two && ln -s a/b/two link && ln -s a dirlink`))
		fsys := box.FS(ctx, "/tmp/view")
		info, err := box.Info(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if info.ExecPath == socketWay {
			err = fstest.TestFS(fsys, "file", "zero", "a/b/two", "link", "empty")
		} else { // a thousand operations are a thousand execs: less to look at
			err = fstest.TestFS(box.FS(ctx, "/tmp/view/a/b"), "two")
		}
		if err != nil {
			t.Error(err)
		}
		if b, err := fs.ReadFile(fsys, "link"); err != nil || string(b) != "two\n" {
			t.Errorf("through a link: %q, %v", b, err)
		}
		if to, err := fs.ReadLink(fsys, "link"); err != nil || to != "a/b/two" {
			t.Errorf("ReadLink: %q, %v", to, err)
		}
		if _, err := fs.Stat(fsys, "none"); !errors.Is(err, fs.ErrNotExist) || !errors.Is(err, pocketdock.ErrFileNotFound) {
			t.Errorf("a missing one: %v", err)
		}
		if _, err := fsys.Open("../view"); !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("an invalid name: %v", err)
		}
		if names, err := fs.Glob(fsys, "a/*/*"); err != nil || len(names) != 1 || names[0] != "a/b/two" {
			t.Errorf("Glob: %q, %v", names, err)
		}
		sub, err := fs.Sub(fsys, "a/b")
		if err != nil {
			t.Fatal(err)
		}
		if b, err := fs.ReadFile(sub, "two"); err != nil || string(b) != "two\n" {
			t.Errorf("in a Sub: %q, %v", b, err)
		}
		if err := box.Remove(ctx, "/tmp/view", pocketdock.FileOptions{}); err != nil {
			t.Error(err)
		}
	})
}

// TestSuiteFSStreams: an open file is a stream, and ends with the context.
func TestSuiteFSStreams(t *testing.T) {
	onEach(t, []string{socketWay, bridgeWay}, func(t *testing.T, box *pocketdock.Container) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		f, err := box.FS(ctx, "/").Open("bin/busybox")
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		one := make([]byte, 4)
		if _, err := io.ReadFull(f, one); err != nil || string(one) != "\x7fELF" {
			t.Fatalf("%q, %v", one, err)
		}
		at := make([]byte, 3)
		if _, err := f.(io.ReaderAt).ReadAt(at, 1); err != nil || string(at) != "ELF" {
			t.Errorf("ReadAt: %q, %v", at, err)
		}
		if _, err := f.(io.Seeker).Seek(1, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(f, at); err != nil || string(at) != "ELF" {
			t.Errorf("after Seek: %q, %v", at, err)
		}
		cancel()
		if _, err := io.Copy(io.Discard, f); !errors.Is(err, context.Canceled) {
			t.Errorf("after the context's end: %v", err)
		}
	})
}
