package pocketdock_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pocketdock/pocketdock"
)

// TestSuiteTar: a tree leaves as an archive that others read, enters as one
// that others wrote, and what is cut short or would escape is refused.
func TestSuiteTar(t *testing.T) {
	onEach(t, agentWays, func(t *testing.T, box *pocketdock.Container) {
		ctx := t.Context()
		src, back := filepath.Join(t.TempDir(), "tree"), filepath.Join(t.TempDir(), "back")
		makeTree(t, src)
		os.Remove(filepath.Join(src, "sparse")) // archives for others have its zeros
		if err := box.Push(ctx, src, "/tmp/tar/tree", pocketdock.TransferOptions{}); err != nil {
			t.Fatal(err)
		}
		defer box.Remove(ctx, "/tmp/tar", pocketdock.FileOptions{})
		var archive bytes.Buffer
		var moved pocketdock.Progress
		progress := pocketdock.TransferOptions{Progress: func(p pocketdock.Progress) { moved = p }}
		if err := box.PullTar(ctx, "/tmp/tar/tree", &archive, progress); err != nil {
			t.Fatal(err)
		}
		if moved.Bytes != int64(archive.Len()) {
			t.Errorf("%d bytes, and told of %d", archive.Len(), moved.Bytes)
		}
		whole := archive.Bytes()
		tr := tar.NewReader(bytes.NewReader(whole))
		for {
			h, err := tr.Next()
			if err == io.EOF {
				break
			}
			if err != nil || !strings.HasPrefix(h.Name, "tree/") {
				t.Fatalf("%q, %v", h.Name, err)
			}
		}
		if err := box.PushTar(ctx, bytes.NewReader(whole), "/tmp/tar/new/place/", pocketdock.TransferOptions{}); err != nil {
			t.Fatal(err)
		}
		if err := box.Pull(ctx, "/tmp/tar/new/place/tree", back, pocketdock.TransferOptions{}); err != nil {
			t.Fatal(err)
		}
		if got, want := describe(t, back), describe(t, src); got != want {
			t.Errorf("came back as\n%s\nwant\n%s", got, want)
		}

		for name, text := range map[string][]byte{
			"nothing": nil, "no archive": []byte("text"), "cut at a header": whole[:512], "cut in a file": whole[:len(whole)/2+17],
			"an escape": escaping(t), "no end": bytes.TrimRight(escaping(t), "\x00"),
		} {
			err := box.PushTar(ctx, bytes.NewReader(text), "/tmp/tar/refused", pocketdock.TransferOptions{})
			if err == nil {
				t.Errorf("%s: no error", name)
			}
			if ok, err := box.Exists(ctx, "/tmp/tar/refused"); ok || err != nil {
				t.Errorf("%s: there is something: %v", name, err)
			}
		}
		if err := box.PullTar(ctx, "/tmp/tar/none", io.Discard, pocketdock.TransferOptions{}); !errors.Is(err, pocketdock.ErrFileNotFound) {
			t.Errorf("a missing one: %v", err)
		}
		if err := box.PullTar(ctx, "/tmp/tar", io.Discard, pocketdock.TransferOptions{Exclude: []string{"x"}}); !errors.Is(err, pocketdock.ErrInvalid) {
			t.Errorf("with Exclude: %v", err)
		}
	})
}

// escaping is an archive with a file outside of where it is unpacked.
func escaping(t *testing.T) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	err := w.WriteHeader(&tar.Header{Name: "../escaped", Mode: 0o644, Size: 1, Typeflag: tar.TypeReg})
	_, werr := w.Write([]byte("x"))
	if err = errors.Join(err, werr, w.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
