package imagestore_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pocketdock/pocketdock"
	"github.com/pocketdock/pocketdock/embedded/internal/erofstest"
	"github.com/pocketdock/pocketdock/embedded/internal/imagestore"
	"github.com/pocketdock/pocketdock/internal/enginetest"
)

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
	for _, e := range found {
		list = append(list, testEngine{e.Name, &pocketdock.Client{Socket: e.Socket, StateDir: t.TempDir()}})
	}
	return list
}

// TestSuiteRoundTrip: what an engine saves is loaded here, saved here, loaded
// by every engine, and runs there.
func TestSuiteRoundTrip(t *testing.T) {
	engines := testEngines(t)
	for image, command := range map[string]string{
		"pocketdock-test/busybox": "id -un && stat -c %U:%a /etc/passwd",
		"pocketdock-test/python":  "id -un && python3 -c 'import json, ssl; print(json.dumps([1]))'",
	} {
		for _, from := range engines {
			if image == "pocketdock-test/python" && from.name == "podman" {
				continue // 124 MB, and no other archive than busybox's
			}
			t.Run(from.name+"/"+strings.TrimPrefix(image, "pocketdock-test/"), func(t *testing.T) {
				roundTrip(t, from, engines, image, command)
			})
		}
	}
}

func roundTrip(t *testing.T, from testEngine, engines []testEngine, image, command string) {
	name := fmt.Sprintf("pocketdock-test/store-%d-%s:latest", os.Getpid(), from.name)
	if err := from.client.Tag(t.Context(), image, name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { removeImage(t, from, name) })
	want, err := from.client.Image(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	s, err := imagestore.Open(filepath.Join(t.TempDir(), "store"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	loaded := transfer(t, func(w io.Writer) error { return from.client.SaveImages(t.Context(), w, name) }, func(r io.Reader) ([]imagestore.Loaded, error) { return s.Load(t.Context(), r) })
	if len(loaded) != 1 || loaded[0].ID != want.ID {
		t.Fatalf("loaded %+v, the engine's is %s", loaded, want.ID)
	}
	img, err := s.Get(t.Context(), name) // Podman saved it as localhost/…
	if err != nil {
		t.Fatal(err)
	}
	if img.Config.Config.User != want.User || img.Config.Architecture != want.Arch || img.Size < 100_000 {
		t.Errorf("loaded %+v, the engine says %+v", img, want)
	}
	root := filepath.Join(t.TempDir(), "root")
	if err := s.Rootfs(t.Context(), name, root); err != nil {
		t.Fatal(err)
	}
	if err := s.Tag(t.Context(), name, name); err != nil {
		t.Fatal(err)
	}
	for _, to := range engines {
		if to.name != from.name {
			t.Cleanup(func() { removeImage(t, to, name) })
		}
		transfer(t, func(w io.Writer) error { return s.Save(t.Context(), w, name) }, func(r io.Reader) ([]imagestore.Loaded, error) { return nil, to.client.LoadImages(t.Context(), r) })
		got, err := to.client.Image(t.Context(), name)
		if err != nil {
			t.Fatalf("%s: %v", to.name, err)
		}
		if got.ID != want.ID || !slices.Contains(got.Tags, name) && !slices.Contains(got.Tags, "localhost/"+name) && !slices.Contains(got.Tags, "docker.io/"+name) {
			t.Errorf("%s: loaded as %s %v, saved as %s %s", to.name, got.ID, got.Tags, want.ID, name)
		}
		box, err := to.client.Create(t.Context(), name, pocketdock.CreateOptions{})
		if err != nil {
			t.Fatalf("%s: %v", to.name, err)
		}
		res, err := box.Run(t.Context(), pocketdock.Shell(command))
		if err != nil || !res.OK() {
			t.Errorf("%s: %v, %+v", to.name, err, res)
		}
		if err := box.Destroy(t.Context()); err != nil {
			t.Errorf("%s: %v", to.name, err)
		}
	}
}

// mixed has what layers can say of files: whiteouts, opaque directories, hard
// links, owners, modes, times, and links in the place of directories.
const mixed = `FROM pocketdock-test/busybox
RUN mkdir -p /t/opaque/sub /t/dir /t/kept && echo 1 >/t/gone && echo 2 >/t/opaque/sub/old && echo 3 >/t/dir/file && echo 4 >/t/first \
 && ln /t/first /t/second && ln -s first /t/link && ln -s /t/dir /t/todir && echo 5 >/t/kept/a && mkfifo /t/fifo && truncate -s 3000000 /t/sparse
RUN rm /t/gone && rm -r /t/opaque && mkdir /t/opaque && echo 6 >/t/opaque/new && rm -r /t/dir && ln -s kept /t/dir && rm /t/first \
 && chown 1000:7 /t/kept && chmod 4711 /t/kept/a && chmod 1777 /t/opaque && touch -d @1234567890 /t/kept/a
RUN rm /t/todir && mkdir /t/todir && rm -r /t/kept/a && echo 7 >/t/todir/b && ln /t/todir/b /t/c && chown -h 5:6 /t/link
`

// TestSuiteSameFiles: the root file system is what an engine makes of the same
// layers, to the last file.
func TestSuiteSameFiles(t *testing.T) {
	for _, e := range testEngines(t) {
		t.Run(e.name, func(t *testing.T) {
			name := fmt.Sprintf("pocketdock-test/mixed-%d:latest", os.Getpid())
			build(t, e, name)
			t.Cleanup(func() { removeImage(t, e, name) })
			s, err := imagestore.Open(filepath.Join(t.TempDir(), "store"))
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			transfer(t, func(w io.Writer) error { return e.client.SaveImages(t.Context(), w, name) }, func(r io.Reader) ([]imagestore.Loaded, error) { return s.Load(t.Context(), r) })
			root := filepath.Join(t.TempDir(), "root")
			if err := s.Rootfs(t.Context(), name, root); err != nil {
				t.Fatal(err)
			}
			got := erofstest.List(t, root)
			want := engineFiles(t, e, name)
			for path, line := range want {
				have := got[path]
				if first, ok := strings.CutPrefix(have, "= "); ok {
					have = got[first]
				}
				if have != line && !strings.HasPrefix(have, line+" ") {
					t.Errorf("%s: the engine has %s, we have %s", path, line, have)
				}
			}
			for path, line := range got {
				if want[path] == "" && !injected(path) {
					t.Errorf("%s: the engine has none, we have %s", path, line)
				}
			}
			if len(want) < 20 || got["/t/c"] != "= /t/todir/b" && got["/t/todir/b"] != "= /t/c" || !strings.Contains(got["/t/second"], `"4\n"`) {
				t.Errorf("%d files; hard links %q, %q; %q", len(want), got["/t/c"], got["/t/todir/b"], got["/t/second"])
			}
		})
	}
}

func build(t *testing.T, e testEngine, name string) {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	err := w.WriteHeader(&tar.Header{Name: "Dockerfile", Mode: 0o644, Size: int64(len(mixed))})
	_, werr := io.WriteString(w, mixed)
	if err := errors.Join(err, werr, w.Close()); err != nil {
		t.Fatal(err)
	}
	for _, err := range e.client.Build(t.Context(), &b, pocketdock.BuildOptions{Tag: name}) {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// engineFiles lists a container's files in the form of erofstest, without
// contents, by busybox's stat.
func engineFiles(t *testing.T, e testEngine, image string) map[string]string {
	t.Helper()
	box, err := e.client.Create(t.Context(), image, pocketdock.CreateOptions{User: "root"})
	if err != nil {
		t.Fatal(err)
	}
	defer box.Destroy(context.Background())
	res, err := box.Run(t.Context(), pocketdock.Shell("find / -xdev -exec stat -c '%n %f %u:%g %Y' {} +"))
	if err != nil || !res.OK() {
		t.Fatalf("%v, %+v", err, res)
	}
	files := map[string]string{}
	for line := range strings.Lines(string(res.Stdout)) {
		var name, owner string
		var mode, when int64
		if _, err := fmt.Sscanf(line, "%s %x %s %d", &name, &mode, &owner, &when); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if !injected(name) {
			files[name] = fmt.Sprintf("%o %s %d.0", mode, owner, when)
		}
	}
	return files
}

// injected reports what an engine puts into a container.
func injected(name string) bool {
	for _, p := range []string{"/etc", "/dev", "/proc", "/sys", "/run", "/tmp", "/var/run", "/.dockerenv", "/.pocketdock", "/pocketdock"} {
		if name == "/" || name == p || strings.HasPrefix(name, p+"/") {
			return true
		}
	}
	return false
}

// TestSuitePodmanArchives: Podman's other format, an OCI archive.
func TestSuitePodmanArchives(t *testing.T) {
	for _, e := range testEngines(t) {
		if e.name != "podman" {
			continue
		}
		want, err := e.client.Image(t.Context(), "pocketdock-test/busybox")
		if err != nil {
			t.Fatal(err)
		}
		info, err := e.client.Engine(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		hc := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", info.Socket)
		}}}
		for _, compress := range []string{"false", "true"} {
			s, err := imagestore.Open(filepath.Join(t.TempDir(), "store"))
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			res, err := hc.Get("http://engine/v4.0.0/libpod/images/pocketdock-test/busybox/get?format=oci-archive&compress=" + compress)
			if err != nil {
				t.Fatal(err)
			}
			list, err := s.Load(t.Context(), res.Body)
			res.Body.Close()
			if err != nil || len(list) != 1 || list[0].ID != want.ID {
				t.Fatalf("compress=%s: %+v, %v; want %s", compress, list, err, want.ID)
			}
			if img, err := s.Get(t.Context(), "pocketdock-test/busybox"); err != nil || img.ID != want.ID {
				t.Errorf("compress=%s: by name: %v, %v; it was loaded as %v", compress, img, err, list[0].Names)
			}
		}
	}
}

// transfer connects a writer and a reader of an archive.
func transfer(t *testing.T, save func(io.Writer) error, load func(io.Reader) ([]imagestore.Loaded, error)) []imagestore.Loaded {
	t.Helper()
	r, w := io.Pipe()
	saved := make(chan error, 1)
	go func() {
		err := save(w)
		w.CloseWithError(err)
		saved <- err
	}()
	list, err := load(r)
	r.CloseWithError(io.ErrClosedPipe)
	if err != nil {
		t.Fatal(err)
	}
	if err := <-saved; err != nil {
		t.Fatal(err)
	}
	return list
}

func removeImage(t *testing.T, e testEngine, name string) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := e.client.RemoveImage(ctx, name); err != nil {
		t.Errorf("%s: removing %s: %v", e.name, name, err)
	}
}
