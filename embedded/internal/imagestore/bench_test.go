package imagestore

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
)

const benchSize = 500 << 20

// benchFile is a file of 64 KiB that compresses to a third, as programs do.
func benchFile(r *rand.ChaCha8) []byte {
	b := make([]byte, 64<<10)
	for off := 0; off < len(b); off += 768 {
		r.Read(b[off:min(off+256, len(b))])
	}
	return b
}

// benchLayer writes a layer of a size.
func benchLayer(w io.Writer, size int) error {
	tw := tar.NewWriter(w)
	r := rand.NewChaCha8([32]byte{})
	for n := 0; n*(64<<10) < size; n++ {
		if err := tw.WriteHeader(&tar.Header{Name: fmt.Sprintf("usr/%d/%d", n/100, n), Mode: 0o644, Size: 64 << 10}); err != nil {
			return err
		}
		if _, err := tw.Write(benchFile(r)); err != nil {
			return err
		}
	}
	return tw.Close()
}

// benchArchive makes an image of 500 MB in a file.
func benchArchive(b *testing.B) string {
	b.Helper()
	f, err := os.Create(filepath.Join(b.TempDir(), "image.tar"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	sum := sha256.New()
	var size counter
	if err := benchLayer(io.MultiWriter(sum, &size), benchSize); err != nil {
		b.Fatal(err)
	}
	config := []byte(fmt.Sprintf(`{"os":"linux","architecture":"amd64","rootfs":{"type":"layers","diff_ids":["sha256:%x"]}}`, sum.Sum(nil)))
	tw := tar.NewWriter(f)
	for _, m := range []struct {
		name string
		size int64
		data io.Reader
	}{
		{"layer.tar", int64(size), nil},
		{"config.json", int64(len(config)), bytes.NewReader(config)},
		{dockerManifest, 72, bytes.NewReader(fmt.Appendf(nil, "%-72s", `[{"Config":"config.json","RepoTags":["b:1"],"Layers":["layer.tar"]}]`))},
	} {
		if err := tw.WriteHeader(&tar.Header{Name: m.name, Mode: 0o644, Size: m.size}); err != nil {
			b.Fatal(err)
		}
		if m.data == nil {
			err = benchLayer(tw, benchSize)
		} else {
			_, err = io.Copy(tw, m.data)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	if err := tw.Close(); err != nil {
		b.Fatal(err)
	}
	return f.Name()
}

type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}

// peak is the most memory that this process had resident since the last call,
// in megabytes; 0 where it cannot be told.
func peak() float64 {
	b, err := os.ReadFile("/proc/self/status")
	os.WriteFile("/proc/self/clear_refs", []byte("5"), 0)
	m := regexp.MustCompile(`VmHWM:\s*(\d+) kB`).FindSubmatch(b)
	if err != nil || m == nil {
		return 0
	}
	n, _ := strconv.Atoi(string(m[1]))
	return float64(n) / 1024
}

// BenchmarkLoad loads an image of 500 MB.
func BenchmarkLoad(b *testing.B) {
	archive := benchArchive(b)
	b.SetBytes(benchSize)
	peak()
	for b.Loop() {
		loadFile(b, openStore(b), archive)
	}
	b.ReportMetric(peak(), "MB-RSS")
}

// BenchmarkRootfs unpacks it, for its first container.
func BenchmarkRootfs(b *testing.B) {
	s := openStore(b)
	loadFile(b, s, benchArchive(b))
	link := filepath.Join(b.TempDir(), "root")
	b.SetBytes(benchSize)
	peak()
	for b.Loop() {
		if err := s.Rootfs(b.Context(), "b:1", link); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		os.Remove(link)
		os.RemoveAll(filepath.Join(s.dir, rootfsDir))
		os.Mkdir(filepath.Join(s.dir, rootfsDir), 0o700)
		b.StartTimer()
	}
	b.ReportMetric(peak(), "MB-RSS")
}

// BenchmarkRootfsAgain is what it takes for every container after that.
func BenchmarkRootfsAgain(b *testing.B) {
	s := openStore(b)
	load(b, s, dockerArchive(b, "b:1", "", layerOf(b, "a=b")))
	link := filepath.Join(b.TempDir(), "root")
	for b.Loop() {
		if err := s.Rootfs(b.Context(), "b:1", link); err != nil {
			b.Fatal(err)
		}
		os.Remove(link)
	}
}

func loadFile(b *testing.B, s *Store, name string) {
	f, err := os.Open(name)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	if _, err := s.Load(b.Context(), f); err != nil {
		b.Fatal(err)
	}
}
