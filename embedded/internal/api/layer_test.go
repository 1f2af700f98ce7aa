//go:build linux

package api

import (
	"archive/tar"
	"bytes"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/pocketdock/pocketdock/embedded/internal/container"
)

// TestNewLayer: gVisor's marks become an image's, and what was mounted is not
// part of it.
func TestNewLayer(t *testing.T) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range []*tar.Header{
		{Typeflag: tar.TypeDir, Name: "./", Mode: 0o755},
		{Typeflag: tar.TypeDir, Name: "etc/", Mode: 0o755},
		{Typeflag: tar.TypeReg, Name: "etc/hosts"},
		{Typeflag: tar.TypeReg, Name: "etc/hostsfile"},
		{Typeflag: tar.TypeChar, Name: "etc/gone"},
		{Typeflag: tar.TypeLink, Name: "etc/gone too", Linkname: "./etc/gone"}, // one mark for all
		{Typeflag: tar.TypeChar, Name: "etc/null", Devmajor: 1, Devminor: 3},
		{Typeflag: tar.TypeDir, Name: "etc/new/", Mode: 0o700, PAXRecords: map[string]string{"SCHILY.xattr.trusted.overlay.opaque": "y", "SCHILY.xattr.user.mine": "x"}},
		{Typeflag: tar.TypeLink, Name: "etc/link", Linkname: "/etc/hostsfile"},
		{Typeflag: tar.TypeReg, Name: "vol/file"},
	} {
		if h.PAXRecords != nil {
			h.Format = tar.FormatPAX
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	c := &container.Container{Host: container.HostConfig{Binds: []string{"/host:/vol"}}}
	var got []string
	for r := tar.NewReader(newLayer(&b, c)); ; {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		line := string(h.Typeflag) + " " + h.Name + " " + h.Linkname
		for k := range h.PAXRecords {
			line += " " + k
		}
		got = append(got, strings.TrimSpace(line))
	}
	want := []string{"5 etc/", "0 etc/hostsfile", "0 etc/.wh.gone", "0 etc/.wh.gone too", "3 etc/null", "5 etc/new/  SCHILY.xattr.user.mine", "0 etc/new/.wh..wh..opq", "1 etc/link etc/hostsfile"}
	if !slices.Equal(got, want) {
		t.Errorf("%q\nwant %q", got, want)
	}
}
