//go:build linux

package project

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/pocketdock/pocketdock"
)

// mount puts a small file system in memory on a directory.
func mount(t *testing.T, dir, options string) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root, to mount a file system")
	}
	if err := syscall.Mount("pd", dir, "tmpfs", 0, options); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Unmount(dir, syscall.MNT_DETACH) })
}

// recordSome records a few commands with output and counts the warnings.
func recordSome(t *testing.T, p *Project, warned *[]error) {
	t.Helper()
	p.Warn = func(err error) { *warned = append(*warned, err) }
	i, err := p.Instance("box")
	if err != nil {
		t.Fatal(err)
	}
	defer i.Close()
	for range 5 {
		r := i.Record(KindRun, pocketdock.Shell("x"), DefaultLogging())
		w := r.Writer(pocketdock.Stdout)
		for range 10 {
			if n, err := w.Write(bytes.Repeat([]byte("x"), 100_000)); n != 100_000 || err != nil {
				t.Fatalf("the command sees it: %d, %v", n, err)
			}
		}
		r.Finish(ok, nil)
	}
	i.Collect(t.Context(), nil, DefaultLogging())
}

// TestFullDisk: a full disk is one warning; what is recorded is well-formed,
// and it goes on when there is room again.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	mount(t, dir, "size=400k")
	r, err := initialize(dir, "", InitOptions{})
	if err != nil {
		t.Fatal(err)
	}
	p := r.Project
	defer p.Close()
	i, err := p.CreateInstance(&Manifest{Container: ManifestContainer{Name: "box"}})
	if err != nil {
		t.Fatal(err)
	}
	defer i.Close()
	var warned []error
	recordSome(t, p, &warned)
	if len(warned) != 1 || !errors.Is(warned[0], syscall.ENOSPC) {
		t.Errorf("warnings: %v", warned)
	}
	files, _ := filepath.Glob(filepath.Join(i.Dir(), "logs", "*"))
	for _, path := range append(files, filepath.Join(i.Dir(), historyName)) {
		b, _ := os.ReadFile(path)
		for line := range bytes.Lines(b) {
			if _, ok := parseLine(bytes.TrimSpace(line)); !ok && !bytes.HasPrefix(line, []byte(`{"ts"`)) || line[len(line)-1] != '\n' {
				t.Errorf("%s: %.80q", path, line)
			}
		}
		os.Remove(path)
	}
	i.Record(KindRun, pocketdock.Shell("again"), DefaultLogging()).Finish(ok, nil)
	if h, err := i.History(HistoryOptions{}); err != nil || len(h) != 1 || h[0].Log == "" {
		t.Errorf("with room again: %+v, %v", h, err)
	}
}

// TestReadOnlyDisk: the same for a disk that cannot be written, of which
// everything can still be read.
func TestReadOnlyDisk(t *testing.T) {
	dir := t.TempDir()
	mount(t, dir, "size=4m")
	r, err := initialize(dir, "", InitOptions{})
	if err != nil {
		t.Fatal(err)
	}
	p := r.Project
	defer p.Close()
	i, err := p.CreateInstance(&Manifest{Container: ManifestContainer{Name: "box"}})
	if err != nil {
		t.Fatal(err)
	}
	i.Record(KindRun, pocketdock.Shell("before"), DefaultLogging()).Finish(ok, nil)
	i.Close()
	os.Remove(filepath.Join(i.Dir(), lockName))
	if err := syscall.Mount("pd", dir, "tmpfs", syscall.MS_REMOUNT|syscall.MS_RDONLY, "size=4m"); err != nil {
		t.Fatal(err)
	}
	var warned []error
	recordSome(t, p, &warned)
	if len(warned) != 1 || !errors.Is(warned[0], syscall.EROFS) {
		t.Errorf("warnings: %v", warned)
	}
	again, err := p.Instance("box")
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	h, err := again.History(HistoryOptions{})
	if err != nil || len(h) != 1 || h[0].Cmd != "before" {
		t.Fatalf("%+v, %v", h, err)
	}
	if _, _, _, end := readAll(t, again, h[0].Log, h[0].At); end == nil {
		t.Error("the log cannot be read")
	}
	if err := p.Set("socket", "/x"); err == nil {
		t.Error("Set says that it has written")
	}
}
