package pocketdock_test

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pocketdock/pocketdock"
	"github.com/pocketdock/pocketdock/internal/fakeengine"
)

// Files of a container without an agent, through the engine's archive API.

// archive is a tar archive of one entry.
func archive(t *testing.T, h tar.Header, data string) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	h.Size = int64(len(data))
	if err := w.WriteHeader(&h); err != nil {
		t.Fatal(err)
	}
	io.WriteString(w, data)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// writable is a container on the fake engine that files can be put into.
func writable(t *testing.T, f *faulty) *pocketdock.Container {
	return f.get(t, f.Add(fakeengine.Container{}))
}

func TestEngineFiles(t *testing.T) {
	onFakes(t, func(t *testing.T, f *faulty) {
		box := writable(t, f)
		want := strings.Repeat("\x00\xff\n", 100_000)
		if err := box.WriteFile(t.Context(), "/a/b", []byte(want), pocketdock.FileOptions{Mode: 0o640}); err != nil {
			t.Fatal(err)
		}
		got, err := box.ReadFile(t.Context(), "/a/b")
		if err != nil || string(got) != want {
			t.Errorf("%d bytes of %d, %v", len(got), len(want), err)
		}
		info, err := box.Stat(t.Context(), "/a/b", pocketdock.FileOptions{})
		if err != nil || info.Size != int64(len(want)) || info.Mode != 0o640 {
			t.Errorf("%+v, %v", info, err)
		}
	})
}

func TestNoSuchFile(t *testing.T) {
	onFakes(t, func(t *testing.T, f *faulty) {
		_, err := f.box.ReadFile(t.Context(), "/nope")
		_, err2 := f.box.Stat(t.Context(), "/nope", pocketdock.FileOptions{})
		for _, err := range []error{err, err2} {
			fe, ok := errors.AsType[*pocketdock.FileError](err)
			if !ok || !errors.Is(err, pocketdock.ErrFileNotFound) || fe.Path != "/nope" || fe.Container != f.box.Name() {
				t.Errorf("%v", err)
			}
		}
		if ok, err := f.box.Exists(t.Context(), "/nope"); ok || err != nil {
			t.Errorf("exists: %v, %v", ok, err)
		}
		// A container that is gone is not a file that is missing.
		f.Remove(f.box.ID())
		if _, err := f.box.ReadFile(t.Context(), "/nope"); !errors.Is(err, pocketdock.ErrContainerGone) {
			t.Errorf("of a removed container: %v", err)
		}
	})
}

// TestFileCutAnywhere ends an archive at points of each part of it: header,
// content, padding, trailer. Less than the file is never taken for the file.
func TestFileCutAnywhere(t *testing.T) {
	content := strings.Repeat("content ", 100) // 800 bytes, 224 of padding
	whole := archive(t, tar.Header{Name: "file", Mode: 0o644}, content)
	f := newFaulty(t, false)
	for _, cut := range []int{0, 1, 511, 512, 513, 512 + 799, 512 + 800, len(whole) - 1024, len(whole)} {
		for how, fault := range map[string]fakeengine.Fault{
			"ended": fakeengine.Body(200, "application/x-tar", string(whole[:cut])),
			"reset": func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
				fakeengine.Reset(cut)(w, r, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write(whole) }))
			},
		} {
			f.Fault("GET /containers/{id}/archive", fault)
			got, err := f.box.ReadFile(t.Context(), "/file")
			if cut >= 512+len(content) && err == nil {
				if string(got) != content {
					t.Errorf("%s after %d bytes: %d bytes of the file", how, cut, len(got))
				}
				continue
			}
			if !errors.Is(err, pocketdock.ErrOutputLost) {
				t.Errorf("%s after %d bytes: %d bytes of the file, %v; want ErrOutputLost", how, cut, len(got), err)
			}
			if fe, ok := errors.AsType[*pocketdock.FileError](err); !ok || fe.Path != "/file" {
				t.Errorf("%s after %d bytes: %v does not name the file", how, cut, err)
			}
		}
	}
}

// TestWrongArchive: what the engine sends is not the file that was asked for.
func TestWrongArchive(t *testing.T) {
	f := newFaulty(t, false)
	for name, body := range map[string]string{
		"no archive":  strings.Repeat("<html>", 1000),
		"a directory": string(archive(t, tar.Header{Name: "file/", Typeflag: tar.TypeDir}, "")),
		"a link":      string(archive(t, tar.Header{Name: "file", Typeflag: tar.TypeSymlink, Linkname: "/etc/shadow"}, "")),
		"nothing":     strings.Repeat("\x00", 1024),
	} {
		f.Fault("GET /containers/{id}/archive", fakeengine.Body(200, "application/x-tar", body))
		err := promptly(t, name, time.Second, func() error { _, err := f.box.ReadFile(t.Context(), "/file"); return err })
		if fe, ok := errors.AsType[*pocketdock.FileError](err); !ok || fe.Path != "/file" {
			t.Errorf("%s: %v does not name the file", name, err)
		}
		notAbout(t, name, err)
	}
}

func TestWrongStat(t *testing.T) {
	f := newFaulty(t, false)
	for _, header := range []string{"", "***", base64.StdEncoding.EncodeToString([]byte("{")), base64.StdEncoding.EncodeToString([]byte(`{"size":"x"}`))} {
		f.Fault("HEAD /containers/{id}/archive", func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
			w.Header().Set("X-Docker-Container-Path-Stat", header)
		})
		err := promptly(t, header, time.Second, func() error {
			_, err := f.box.Stat(t.Context(), "/file", pocketdock.FileOptions{})
			return err
		})
		notAbout(t, header, err)
		if !strings.Contains(err.Error(), "/file") {
			t.Errorf("%q: %v does not name the file", header, err)
		}
	}
}

// TestUploadFails: a write that the engine ends half-way is an error about the
// file, and leaves no goroutine that feeds it.
func TestUploadFails(t *testing.T) {
	onFakes(t, func(t *testing.T, f *faulty) {
		box := writable(t, f)
		if _, err := box.Run(t.Context(), pocketdock.Argv("true")); err != nil {
			t.Fatal(err)
		}
		big := make([]byte, 8<<20)
		for name, fault := range map[string]fakeengine.Fault{
			"refused":                 f.Status(500, "no space left on device"),
			"dropped":                 fakeengine.Drop,
			"dropped without reading": fakeengine.HangUp,
		} {
			f.Fault("PUT /containers/{id}/archive", fault)
			err := promptly(t, name, 2*time.Second, func() error {
				return box.WriteFile(t.Context(), "/big", big, pocketdock.FileOptions{})
			})
			if fe, ok := errors.AsType[*pocketdock.FileError](err); !ok || fe.Path != "/big" {
				t.Errorf("%s: %v does not name the file", name, err)
			}
			notAbout(t, name, err)
		}
		arrived, release := make(chan struct{}, 1), make(chan struct{})
		f.Fault("PUT /containers/{id}/archive", func(http.ResponseWriter, *http.Request, http.Handler) {
			arrived <- struct{}{}
			<-release // and does not read
		})
		cancelled(t, "write", time.Second, arrived, func(ctx context.Context) error {
			return box.WriteFile(ctx, "/big", big, pocketdock.FileOptions{})
		})
		close(release)
	})
}

// TestReadOnlyRoot is told as what it is.
func TestReadOnlyRoot(t *testing.T) {
	onFakes(t, func(t *testing.T, f *faulty) {
		err := f.box.WriteFile(t.Context(), "/file", []byte("x"), pocketdock.FileOptions{})
		fe, ok := errors.AsType[*pocketdock.FileError](err)
		if !ok || fe.Path != "/file" || !strings.Contains(err.Error(), "read-only") {
			t.Errorf("%v", err)
		}
	})
}

// TestRemoveNeedsAProgram: rm's failure is not success.
func TestRemoveNeedsAProgram(t *testing.T) {
	onFakes(t, func(t *testing.T, f *faulty) {
		f.WriteFile(f.box.ID(), "/file", nil)
		var got []string
		f.Program("rm", func(_ context.Context, p *fakeengine.Process) int { got = p.Args; return 0 })
		if err := f.box.Remove(t.Context(), "/file", pocketdock.FileOptions{}); err != nil {
			t.Fatal(err)
		}
		if len(got) == 0 || got[len(got)-1] != "/file" || got[len(got)-2] != "--" {
			t.Errorf("%q", got)
		}
		f.Program("rm", func(_ context.Context, p *fakeengine.Process) int {
			io.WriteString(p.Stderr, "rm: cannot remove '/file': Read-only file system\n")
			return 1
		})
		err := f.box.Remove(t.Context(), "/file", pocketdock.FileOptions{})
		if fe, ok := errors.AsType[*pocketdock.FileError](err); !ok || fe.Path != "/file" || !strings.Contains(err.Error(), "Read-only") {
			t.Errorf("rm failed: %v", err)
		}
		if err := f.box.Remove(t.Context(), "/nope", pocketdock.FileOptions{}); !errors.Is(err, pocketdock.ErrFileNotFound) {
			t.Errorf("of what is not there: %v", err)
		}
		f.Program("rm", nil)
		if err := f.box.Remove(t.Context(), "/file", pocketdock.FileOptions{}); err == nil {
			t.Error("without rm: no error")
		}
	})
}

// TestRelativePathNeedsAnAgent: the archive API takes a path from the root,
// which is another file than the caller means.
func TestRelativePathNeedsAnAgent(t *testing.T) {
	f := newFaulty(t, false)
	box := writable(t, f)
	if _, err := box.Run(t.Context(), pocketdock.Argv("true")); err != nil {
		t.Fatal(err)
	}
	f.WriteFile(box.ID(), "/data", []byte("another"))
	_, read := box.ReadFile(t.Context(), "data")
	_, stat := box.Stat(t.Context(), "data", pocketdock.FileOptions{})
	for name, err := range map[string]error{
		"read": read, "stat": stat,
		"write":  box.WriteFile(t.Context(), "data", nil, pocketdock.FileOptions{}),
		"mkdir":  box.Mkdir(t.Context(), "data", pocketdock.FileOptions{}),
		"remove": box.Remove(t.Context(), "data", pocketdock.FileOptions{}),
	} {
		if !errors.Is(err, pocketdock.ErrUnsupported) {
			t.Errorf("%s: %v, want ErrUnsupported", name, err)
		}
	}
}
