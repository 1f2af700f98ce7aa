package imageset_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pocketdock/pocketdock"
	"github.com/pocketdock/pocketdock/imageset"
	"github.com/pocketdock/pocketdock/internal/enginetest"
	"github.com/pocketdock/pocketdock/internal/fakeengine"
)

const busybox = "pocketdock-test/busybox:latest"

type testEngine struct {
	name   string
	client *pocketdock.Client
}

// testEngines are those of this run. Root reaches rootless Podman's socket,
// too, which is all that images need.
func testEngines(t *testing.T) (list []testEngine) {
	t.Helper()
	found, err := enginetest.Engines()
	if err != nil {
		t.Fatal(err)
	}
	if s := os.Getenv("POCKETDOCK_TEST_ROOTLESS"); s != "" && os.Getuid() == 0 {
		found = append(found, enginetest.Engine{Name: "rootless", Socket: s})
	}
	for _, e := range found {
		list = append(list, testEngine{e.Name, &pocketdock.Client{Socket: e.Socket, StateDir: t.TempDir()}})
	}
	return list
}

// build builds a small image with a file of its own.
func build(t *testing.T, e testEngine, tag, text string, labels map[string]string) {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	dockerfile := "FROM " + busybox + "\nRUN echo " + text + " >/which\nUSER sandbox\n"
	err := w.WriteHeader(&tar.Header{Name: "Dockerfile", Mode: 0o644, Size: int64(len(dockerfile))})
	_, werr := io.WriteString(w, dockerfile)
	if err := errors.Join(err, werr, w.Close()); err != nil {
		t.Fatal(err)
	}
	for _, err := range e.client.Build(t.Context(), &b, pocketdock.BuildOptions{Tag: tag, Labels: labels}) {
		if err != nil {
			t.Fatal(err)
		}
	}
}

func remove(t *testing.T, e testEngine, tags ...string) {
	for _, tag := range tags {
		err := e.client.RemoveImage(context.Background(), tag)
		if err != nil && !errors.Is(err, pocketdock.ErrImageNotFound) {
			t.Errorf("%s: %v", e.name, err)
		}
	}
}

// TestSuiteExportImport: what one engine exports every engine imports, in each
// compression, from files and streams, with its names, and over older images
// of the same names.
func TestSuiteExportImport(t *testing.T) {
	engines := testEngines(t)
	dir := t.TempDir()
	for _, from := range engines {
		one, two := fmt.Sprintf("pocketdock-test/set-%s-%d:one", from.name, os.Getpid()), fmt.Sprintf("pocketdock-test/set-%s-%d:latest", from.name, os.Getpid())
		build(t, from, one, "one-"+from.name, map[string]string{"pocketdock.image.profile": "one"})
		build(t, from, two, "two-"+from.name, nil)
		defer func() {
			for _, e := range engines {
				remove(t, e, one, two)
			}
		}()
		var files []string
		for _, ext := range []string{".tar", ".tar.gz", ".tar.zst"} {
			file := filepath.Join(dir, from.name+ext)
			var last imageset.Progress
			m, err := imageset.ExportFile(t.Context(), from.client, file, []string{one, strings.TrimSuffix(two, ":latest"), one},
				imageset.ExportOptions{Progress: func(p imageset.Progress) { last = p }})
			if err != nil {
				t.Fatal(err)
			}
			if len(m.Images) != 2 || m.Images[0].Profile != "one" || m.Images[1].Tag != two || last.Stage != imageset.Saving || last.Done == 0 {
				t.Errorf("%+v, %+v", m, last)
			}
			files = append(files, file)
		}
		for i, to := range engines {
			t.Run(from.name+" to "+to.name, func(t *testing.T) {
				if from.name == to.name {
					remove(t, to, one, two)
				} else {
					build(t, to, one, "old", nil) // in the way
				}
				var err error
				if i%2 == 0 {
					_, err = imageset.ImportFile(t.Context(), to.client, files[i%len(files)], imageset.ImportOptions{})
				} else {
					f, oerr := os.Open(files[i%len(files)])
					if oerr != nil {
						t.Fatal(oerr)
					}
					defer f.Close()
					_, err = imageset.Import(t.Context(), to.client, io.MultiReader(f), imageset.ImportOptions{})
				}
				if err != nil {
					t.Fatal(err)
				}
				for tag, want := range map[string]string{one: "one-" + from.name, two: "two-" + from.name} {
					img, err := to.client.Image(t.Context(), tag)
					if err != nil || img.User != "sandbox" {
						t.Fatalf("%s: %+v, %v", tag, img, err)
					}
					if to.name == "rootless" && os.Getuid() == 0 {
						continue // its user cannot reach our state directory
					}
					box, err := to.client.Create(t.Context(), tag, pocketdock.CreateOptions{})
					if err != nil {
						t.Fatal(err)
					}
					res, err := box.Run(t.Context(), pocketdock.Shell("cat /which"))
					if err != nil || string(res.Stdout) != want+"\n" {
						t.Errorf("%s: %+v, %v; want %s", tag, res, err, want)
					}
					if err := box.Destroy(t.Context()); err != nil {
						t.Error(err)
					}
				}
				left, err := os.ReadDir(to.client.StateDir)
				for _, f := range left {
					if strings.HasPrefix(f.Name(), "import-") {
						t.Errorf("%s is left, %v", f.Name(), err)
					}
				}
			})
		}
	}
}

// TestExportFails: nothing is left under the name of a file that could not be
// completed.
func TestExportFails(t *testing.T) {
	f := fakeengine.Start(t, false)
	f.AddImage("test:latest", "amd64")
	c := &pocketdock.Client{Socket: f.Socket(), StateDir: t.TempDir()}
	dir := t.TempDir()
	file := filepath.Join(dir, "x.tar.zst")
	if _, err := imageset.ExportFile(t.Context(), c, file, []string{"no-such:1"}, imageset.ExportOptions{}); !errors.Is(err, pocketdock.ErrImageNotFound) {
		t.Errorf("%v", err)
	}
	for _, names := range [][]string{nil, {"test@sha256:abc"}, {"../x"}} {
		if _, err := imageset.ExportFile(t.Context(), c, file, names, imageset.ExportOptions{}); !errors.Is(err, pocketdock.ErrInvalid) {
			t.Errorf("%q: %v", names, err)
		}
	}
	f.Fault("GET /images/get", fakeengine.Reset(3))
	if _, err := imageset.ExportFile(t.Context(), c, file, []string{"test"}, imageset.ExportOptions{}); !errors.Is(err, pocketdock.ErrNoEngine) {
		t.Errorf("%v", err)
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// TestImportFailsMidway: an engine that fails after the first image leaves the
// names as they were; a damaged file never reaches it.
func TestImportFailsMidway(t *testing.T) {
	f := fakeengine.Start(t, false)
	c := &pocketdock.Client{Socket: f.Socket(), StateDir: t.TempDir()}
	f.AddImage("new:1", "amd64")
	f.AddImage("old:1", "amd64")
	var inner bytes.Buffer
	w := tar.NewWriter(&inner)
	const manifest = `[{"RepoTags":["new:1"]},{"RepoTags":["old:1"]}]`
	err := w.WriteHeader(&tar.Header{Name: "manifest.json", Size: int64(len(manifest))})
	_, werr := io.WriteString(w, manifest)
	if err := errors.Join(err, werr, w.Close()); err != nil {
		t.Fatal(err)
	}
	f.Fault("GET /images/get", fakeengine.Body(200, "application/x-tar", inner.String()))
	var set bytes.Buffer
	if _, err := imageset.Export(t.Context(), c, &set, []string{"new:1", "old:1"}, imageset.ExportOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := c.RemoveImage(t.Context(), "new:1"); err != nil {
		t.Fatal(err)
	}

	loads := 0
	f.Fault("POST /images/load", func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		loads++
		io.Copy(io.Discard, r.Body)
		f.AddImage("new:1", "amd64")
		fakeengine.Body(200, "application/json", `{"stream":"Loaded image: new:1\n"}{"error":"no space left on device"}`)(w, r, nil)
	})
	_, err = imageset.Import(t.Context(), c, bytes.NewReader(set.Bytes()), imageset.ImportOptions{})
	if err == nil || !strings.Contains(err.Error(), "no space left") {
		t.Errorf("%v", err)
	}
	if f.HasImage("new:1") || !f.HasImage("old:1") || loads != 1 {
		t.Errorf("new is there: %v, old is there: %v, %d loads", f.HasImage("new:1"), f.HasImage("old:1"), loads)
	}

	cut := set.Bytes()[:set.Len()-3000]
	if _, err := imageset.Import(t.Context(), c, bytes.NewReader(cut), imageset.ImportOptions{}); !errors.Is(err, imageset.ErrFormat) || loads != 1 {
		t.Errorf("%v, %d loads", err, loads)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	endless, _ := io.Pipe()
	stop := context.AfterFunc(ctx, func() { endless.Close() })
	defer stop()
	if _, err := imageset.Import(ctx, c, endless, imageset.ImportOptions{}); err == nil {
		t.Error("a stream that never ends was imported")
	}
	if left, _ := os.ReadDir(c.StateDir); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// TestImportPipe: a path that is no regular file is read once, too.
func TestImportPipe(t *testing.T) {
	f := fakeengine.Start(t, false)
	c := &pocketdock.Client{Socket: f.Socket(), StateDir: t.TempDir()}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	go func() { io.WriteString(w, strings.Repeat("no image set\n", 100)); w.Close() }()
	defer r.Close()
	_, err = imageset.ImportFile(t.Context(), c, fmt.Sprintf("/proc/self/fd/%d", r.Fd()), imageset.ImportOptions{})
	if !errors.Is(err, imageset.ErrFormat) {
		t.Errorf("%v", err)
	}
}
