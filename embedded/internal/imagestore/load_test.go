package imagestore

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

func gzipped(t testing.TB, b []byte) []byte {
	t.Helper()
	var buf bytes.Buffer
	z := gzip.NewWriter(&buf)
	z.Write(b)
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func zstded(t testing.TB, b []byte) []byte {
	t.Helper()
	z, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	return z.EncodeAll(b, nil)
}

// An ociImage is an OCI layout with an image in the making.
type ociArchive struct {
	t     testing.TB
	files []file
}

func (o *ociArchive) blob(b []byte) map[string]any {
	o.files = append(o.files, file{name: blobName(digestOf(b)), data: b})
	return map[string]any{"mediaType": "application/octet-stream", "digest": digestOf(b), "size": len(b)}
}

func (o *ociArchive) manifest(config []byte, blobs ...[]byte) map[string]any {
	var layers []any
	for _, b := range blobs {
		layers = append(layers, o.blob(b))
	}
	return o.blob(asJSON(o.t, map[string]any{"schemaVersion": 2, "config": o.blob(config), "layers": layers}))
}

func (o *ociArchive) finish(top ...map[string]any) []byte {
	o.files = append(o.files, file{name: "oci-layout", data: []byte(`{"imageLayoutVersion":"1.0.0"}`)},
		file{name: "./index.json", data: asJSON(o.t, map[string]any{"schemaVersion": 2, "manifests": top})})
	return archiveOf(o.t, o.files...)
}

func with(m map[string]any, key string, value any) map[string]any {
	m[key] = value
	return m
}

// TestLoadKinds: every kind of archive brings the same image.
func TestLoadKinds(t *testing.T) {
	one, two := layerOf(t, "etc/", "etc/a=1"), layerOf(t, "etc/b=2", "etc/.wh.a=")
	config := configOf(t, "kinds", one, two)
	id := digestOf(config)
	oci := func(name string, a, b []byte) []byte {
		o := &ociArchive{t: t}
		m := o.manifest(config, a, b)
		if name != "" {
			m["annotations"] = map[string]string{ociRefName: name}
		}
		return o.finish(m)
	}
	manifest := func(e manifestEntry) []byte { return asJSON(t, []manifestEntry{e}) }
	docker := dockerArchive(t, "box:1", "kinds", one, two)
	for _, test := range []struct {
		kind    string
		archive []byte
		names   []string
	}{
		{"docker", docker, []string{"box:1"}},
		{"docker in gzip", gzipped(t, docker), []string{"box:1"}},
		{"docker in zstd", zstded(t, docker), []string{"box:1"}},
		{"docker, no name", dockerArchive(t, "", "kinds", one, two), nil},
		{"docker, layers in gzip and zstd", archiveOf(t,
			file{name: "l1", data: gzipped(t, one)}, file{name: "l2", data: zstded(t, two)}, file{name: "c.json", data: config},
			file{name: dockerManifest, data: manifest(manifestEntry{"c.json", []string{"docker.io/library/box:1"}, []string{"l1", "l2"}})}), []string{"box:1"}},
		{"podman, with links", archiveOf(t,
			file{name: hexOf(digestOf(one)) + ".tar", data: one}, file{name: "x/layer.tar", link: "../" + hexOf(digestOf(one)) + ".tar"},
			file{name: "y/layer.tar", data: two}, file{name: "x/VERSION", data: []byte("1.0")}, file{name: hexOf(id) + ".json", data: config},
			file{name: dockerManifest, data: manifest(manifestEntry{hexOf(id) + ".json", []string{"localhost/box:1"}, []string{"x/layer.tar", "y/layer.tar"}})}),
			[]string{"localhost/box:1"}},
		{"manifest first", archiveOf(t, file{name: dockerManifest, data: manifest(manifestEntry{"c", []string{"box:1", "box:2"}, []string{"a", "b"}})},
			file{name: "c", data: config}, file{name: "a", data: one}, file{name: "b", data: two}), []string{"box:1", "box:2"}},
		{"oci", oci("docker.io/library/box:1", one, two), []string{"box:1"}},
		{"oci, gzip and zstd", oci("localhost/box:1", gzipped(t, one), zstded(t, two)), []string{"localhost/box:1"}},
		{"oci, a tag for a name", oci("latest", one, two), nil},
		{"oci, an index of platforms", func() []byte {
			o := &ociArchive{t: t}
			m := o.manifest(config, one, two)
			sub := o.blob(asJSON(t, map[string]any{"schemaVersion": 2, "manifests": []any{
				with(map[string]any{"digest": digestOf([]byte("elsewhere")), "size": 1}, "platform", map[string]string{"os": "linux", "architecture": "s390x"}),
				m,
			}}))
			other := with(map[string]any{"digest": digestOf([]byte("attestation")), "size": 1}, "platform", map[string]string{"os": "unknown", "architecture": "unknown"})
			return o.finish(with(sub, "annotations", map[string]string{containerdName: "docker.io/library/box:1"}), other)
		}(), []string{"box:1"}},
	} {
		t.Run(test.kind, func(t *testing.T) {
			s := openStore(t)
			list, err := s.Load(t.Context(), bytes.NewReader(test.archive))
			if err != nil {
				t.Fatal(err)
			}
			if len(list) != 1 || list[0].ID != id || !slices.Equal(list[0].Names, test.names) {
				t.Fatalf("loaded %+v", list)
			}
			img, err := s.Get(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(img.Raw, config) || !slices.Equal(img.Names, test.names) || img.Size != 2 || img.Config.Config.User != "sandbox" ||
				!slices.Equal(img.Layers, []string{digestOf(one), digestOf(two)}) || img.Created.Year() != 2024 {
				t.Errorf("got %+v", img)
			}
			sound(t, s)
		})
	}
}

// TestLoadRefuses: one clear error, and nothing of the archive stays.
func TestLoadRefuses(t *testing.T) {
	one := layerOf(t, "a=1")
	config := configOf(t, "", one)
	name := hexOf(digestOf(config)) + ".json"
	docker := func(config []byte, e manifestEntry, more ...file) []byte {
		return archiveOf(t, append(more, file{name: name, data: config}, file{name: dockerManifest, data: asJSON(t, []manifestEntry{e})})...)
	}
	good := manifestEntry{name, []string{"box:1"}, []string{"l"}}
	windows := bytes.Replace(config, []byte(`"linux"`), []byte(`"windows"`), 1)
	oci := &ociArchive{t: t}
	m := oci.manifest(config, one)
	forged := oci.finish(m)
	forged = bytes.Replace(forged, []byte("sandbox"), []byte("nobody!"), 1)
	evil := func(h tar.Header) []byte {
		var b bytes.Buffer
		tw := tar.NewWriter(&b)
		if err := errors.Join(tw.WriteHeader(&h), tw.Close()); err != nil {
			t.Fatal(err)
		}
		return dockerArchive(t, "box:1", "", b.Bytes())
	}
	for _, test := range []struct {
		kind    string
		archive []byte
		want    string
	}{
		{"nothing", nil, "no tar archive"},
		{"a text", []byte(strings.Repeat("hello ", 500)), "no tar archive"},
		{"an empty archive", make([]byte, 1024), "neither a manifest.json nor an index.json"},
		{"another archive", one, "neither a manifest.json nor an index.json"},
		{"no image", archiveOf(t, file{name: dockerManifest, data: []byte("[]")}), "no image in it"},
		{"bad JSON", archiveOf(t, file{name: dockerManifest, data: []byte("[{]")}), "manifest.json"},
		{"no layer", docker(config, good), `"l" is missing`},
		{"no configuration", archiveOf(t, file{name: "l", data: one}, file{name: dockerManifest, data: asJSON(t, []manifestEntry{good})}), "is missing"},
		{"another layer", docker(config, good, file{name: "l", data: layerOf(t, "a=2")}), "has the digest"},
		{"another configuration", docker(configOf(t, "other", one), good, file{name: "l", data: one}), "has another digest"},
		{"too few layers", docker(config, manifestEntry{name, nil, nil}, file{name: "l", data: one}), "has 0 layers, its configuration 1"},
		{"a forged blob", forged, "has another digest"},
		{"a text for a layer", docker(config, good, file{name: "l", data: []byte("hello")}), "neither a layer nor JSON"},
		{"JSON for a layer", docker(config, good, file{name: "l", data: config}), "layer 1 is no layer"},
		{"a layer for the configuration", docker(config, manifestEntry{"l", nil, []string{"l"}}, file{name: "l", data: one}), `"l" is no JSON`},
		{"half a layer", dockerArchive(t, "box:1", "", layerOf(t, "a="+strings.Repeat("x", 2000))[:1000]), "cut short"},
		{"half of a compressed layer", docker(config, good, file{name: "l", data: gzipped(t, one)[:40]}), "cut short"},
		{"a damaged compressed layer", docker(config, good, file{name: "l", data: damaged(zstded(t, one))}), "layer"},
		{"a link in a circle", docker(config, good, file{name: "l", link: "l"}), "without an end"},
		{"a link outwards", docker(config, good, file{name: "l", link: "../../../../etc/passwd"}), "is missing"},
		{"a bad name", docker(config, manifestEntry{name, []string{"Box/../x:1"}, []string{"l"}}, file{name: "l", data: one}), "image name"},
		{"for Windows", archiveOf(t, file{name: "l", data: one}, file{name: "c", data: windows},
			file{name: dockerManifest, data: asJSON(t, []manifestEntry{{"c", nil, []string{"l"}}})}), "sandboxes are Linux"},
		{"a digest that is a path", archiveOf(t, file{name: ociIndex, data: []byte(`{"manifests":[{"digest":"sha256:../../../../etc/passwd","size":1}]}`)}), ociIndex},
		{"a climbing name", evil(tar.Header{Name: "../../etc/cron.d/x", Mode: 0o644}), "leads out of the image"},
		{"a hard link outwards", evil(tar.Header{Name: "x", Typeflag: tar.TypeLink, Linkname: "../../etc/shadow"}), "leads out of the image"},
		{"an unknown type", evil(tar.Header{Name: "x", Typeflag: 'Z'}), "unknown type"},
		{"too many files", bytes.Repeat(archiveOf(t, file{name: "x"})[:512], maxMembers+1), "more than 20000 files"},
		{"zeros without an end", docker(config, good, file{name: "l", data: gzipped(t, make([]byte, 5<<20))}), "after its end"},
		{"zeros after it", append(docker(config, good, file{name: "l", data: one}), make([]byte, 5<<20)...), "after its end"},
		{"a huge file that is not there", hugeLayer(t), "more than 256 GiB"},
	} {
		t.Run(test.kind, func(t *testing.T) {
			s := openStore(t)
			_, err := s.Load(t.Context(), bytes.NewReader(test.archive))
			if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %s", err, test.want)
			}
			empty(t, s)
		})
	}
}

func damaged(b []byte) []byte {
	b = bytes.Clone(b)
	b[len(b)/2] ^= 0xff
	return b
}

// hugeLayer has a sparse file that says it has a terabyte.
func hugeLayer(t *testing.T) []byte {
	b := make([]byte, 2048)
	copy(b, layerOf(t, "a=")[:512])
	copy(b[124:], "\x80\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00") // 1 TiB in base 256
	sum := 0
	for i, c := range b[:512] {
		if i >= 148 && i < 156 {
			c = ' '
		}
		sum += int(c)
	}
	const digits = "01234567"
	for i := range 6 {
		b[153-i] = digits[sum&7]
		sum >>= 3
	}
	b[154], b[155] = 0, ' '
	return dockerArchive(t, "box:1", "", b)
}

// TestLoadTruncated: an archive that ends anywhere is refused.
func TestLoadTruncated(t *testing.T) {
	s := openStore(t)
	plain := dockerArchive(t, "box:1", "", layerOf(t, "a="+strings.Repeat("x", 2000)), layerOf(t, "b=1"))
	for kind, whole := range map[string][]byte{"plain": plain, "gzip": gzipped(t, plain), "zstd": zstded(t, plain)} {
		end := len(whole)
		if kind == "plain" {
			end = len(bytes.TrimRight(whole, "\x00")) // all of the content is before
		}
		for n := 0; n < end; n += 1 + end/60 {
			if _, err := s.Load(t.Context(), bytes.NewReader(whole[:n])); !errors.Is(err, ErrInvalid) {
				t.Errorf("%s, %d of %d bytes: %v", kind, n, len(whole), err)
			}
		}
	}
	empty(t, s)
}

// TestLoadCancelled: a canceled load ends, and says why.
func TestLoadCancelled(t *testing.T) {
	s := openStore(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("enough")
	whole := dockerArchive(t, "box:1", "", layerOf(t, "a="+strings.Repeat("x", 1<<20)))
	r := io.MultiReader(bytes.NewReader(whole[:1<<19]), readFunc(func([]byte) (int, error) { cancel(why); return 0, nil }), bytes.NewReader(whole[1<<19:]))
	if _, err := s.Load(ctx, r); !errors.Is(err, why) {
		t.Errorf("got %v", err)
	}
	empty(t, s)
}

type readFunc func([]byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }

// TestLoadMovesNames: a name goes to the image that was loaded last, and the
// other one is dangling.
func TestLoadMovesNames(t *testing.T) {
	s := openStore(t)
	a := load(t, s, dockerArchive(t, "box:1", "a", layerOf(t, "a=1")))
	b := load(t, s, dockerArchive(t, "box:1", "b", layerOf(t, "a=1")))
	list, err := s.List(t.Context())
	if err != nil || len(list) != 2 {
		t.Fatalf("%v, %v", list, err)
	}
	for _, img := range list {
		if img.ID == a && len(img.Names) != 0 || img.ID == b && !slices.Equal(img.Names, []string{"box:1"}) {
			t.Errorf("%s is called %v", img.ID, img.Names)
		}
	}
	sound(t, s)
}

// empty checks that a store has nothing.
func empty(t *testing.T, s *Store) {
	t.Helper()
	if list, err := s.List(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("%v, %v", list, err)
	}
	sound(t, s)
}

// sound checks that a store has on disk what its index names and nothing else.
func sound(t testing.TB, s *Store) {
	t.Helper()
	x, err := s.readIndex()
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]bool{}
	for id, r := range x.Images {
		want[configPath(id)] = true
		for _, l := range r.Layers {
			want[layerPath(l.DiffID)] = true
		}
	}
	for _, dir := range []string{configDir, layerDir, tmpDir} {
		list, err := os.ReadDir(filepath.Join(s.dir, dir))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range list {
			if name := dir + "/" + e.Name(); !want[name] {
				t.Errorf("%s is left", name)
			} else {
				delete(want, name)
			}
		}
	}
	for name := range want {
		t.Errorf("%s is missing", name)
	}
	if _, err := os.Stat(filepath.Join(s.dir, dirtyFile)); err == nil {
		t.Error("the mark of an unfinished change is left")
	}
}

// FuzzLoad: whatever an archive is, it is refused with nothing left, or
// loaded, and then it can be saved and unpacked.
func FuzzLoad(f *testing.F) {
	one := layerOf(f, "a/b=1", "c@a")
	docker := dockerArchive(f, "box:1", "", one)
	o := &ociArchive{t: f}
	oci := o.finish(o.manifest(configOf(f, "", one), one))
	for _, b := range [][]byte{docker, oci, gzipped(f, docker), zstded(f, docker), archiveOf(f, file{name: dockerManifest, data: []byte("[]")})} {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, archive []byte) {
		s := openStore(t)
		list, err := s.Load(t.Context(), bytes.NewReader(archive))
		if err != nil {
			empty(t, s)
			return
		}
		sound(t, s)
		for _, img := range list {
			if err := s.Save(t.Context(), io.Discard, img.ID); err != nil {
				t.Errorf("save: %v", err)
			}
			s.Rootfs(t.Context(), img.ID, filepath.Join(t.TempDir(), "root")) // may be refused
		}
	})
}

// FuzzConfig: a configuration is refused, or a commit on top of it is one, too.
func FuzzConfig(f *testing.F) {
	f.Add(configOf(f, "c", []byte("x")))
	f.Add([]byte(`{"config":null,"history":[{}],"rootfs":{"diff_ids":[]}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if _, err := parseConfig(raw); err != nil {
			return
		}
		out, err := commitConfig(raw, digestOf(nil), CommitOptions{Labels: map[string]string{"a": "b"}})
		if err != nil {
			return // not an object, say
		}
		if _, err := parseConfig(out); err != nil || !json.Valid(out) {
			t.Errorf("%v: %s", err, out)
		}
	})
}
