package hostimage

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// host makes a host's root directory: "path" a directory, "path=text" a file,
// "path->to" a link, "!path=text" a file that only its owner may read.
func host(t *testing.T, list ...string) string {
	t.Helper()
	root := t.TempDir()
	for _, s := range list {
		var err error
		if name, to, ok := strings.Cut(s, "->"); ok {
			err = os.Symlink(to, filepath.Join(root, name))
		} else if name, text, ok := strings.Cut(s, "="); ok {
			mode := os.FileMode(0o644)
			if strings.HasPrefix(name, "!") {
				name, mode = name[1:], 0o600
			}
			err = os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o755)
			if err == nil {
				err = os.WriteFile(filepath.Join(root, name), []byte(text), mode)
			}
		} else {
			err = os.MkdirAll(filepath.Join(root, s), 0o755)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// files of an image's layer: name to text, "->to" or "dir".
func files(t *testing.T, img *Image) map[string]string {
	t.Helper()
	read := func(r io.Reader) map[string]string {
		all := map[string]string{}
		for tr := tar.NewReader(r); ; {
			h, err := tr.Next()
			if err == io.EOF {
				return all
			}
			if err != nil {
				t.Fatal(err)
			}
			b, err := io.ReadAll(tr)
			if err != nil {
				t.Fatal(err)
			}
			name := strings.TrimSuffix(h.Name, "/")
			if _, twice := all[name]; twice {
				t.Errorf("%s is there twice", name)
			}
			switch h.Typeflag {
			case tar.TypeDir:
				all[name] = fmt.Sprintf("dir %o %d", h.Mode, h.Uid)
			case tar.TypeSymlink:
				all[name] = "->" + h.Linkname
			default:
				all[name] = string(b)
			}
		}
	}
	outer := read(bytes.NewReader(img.Archive))
	var manifest []struct {
		Config   string
		RepoTags []string
	}
	if err := json.Unmarshal([]byte(outer["manifest.json"]), &manifest); err != nil {
		t.Fatal(err)
	}
	if "sha256:"+digest([]byte(outer[manifest[0].Config])) != img.ID || manifest[0].RepoTags[0] != "docker.io/"+img.Name {
		t.Errorf("manifest: %s; image %s, %s", outer["manifest.json"], img.ID, img.Name)
	}
	return read(strings.NewReader(outer["layer.tar"]))
}

func make1(t *testing.T, root string) *Image {
	t.Helper()
	img, err := Make(root, "amd64", "pocketdock/host", map[string]string{"a": "b"})
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func TestMergedUsr(t *testing.T) {
	img := make1(t, host(t, "usr/bin/bash=x", "usr/lib", "bin->usr/bin", "lib->usr/lib", "lib64->usr/lib64", "etc"))
	f := files(t, img)
	if !slices.Equal(img.Mounts, []string{"/usr"}) || f["bin"] != "->usr/bin" || f["lib64"] != "->usr/lib64" || f["usr"] != "dir 755 0" {
		t.Errorf("mounts %q, %v", img.Mounts, f)
	}
	if f["home/sandbox"] != "dir 755 1000" || f["root"] != "dir 700 0" || f["tmp"] != "dir 1777 0" || !strings.HasSuffix(f["etc/passwd"], ":/usr/bin/bash\n") {
		t.Errorf("%v", f)
	}
}

func TestSplitUsr(t *testing.T) {
	img := make1(t, host(t, "usr/bin", "bin/sh=x", "sbin", "lib", "lib64", "etc"))
	f := files(t, img)
	if !slices.Equal(img.Mounts, []string{"/usr", "/bin", "/sbin", "/lib", "/lib64"}) || f["lib"] != "dir 755 0" || f["lib32"] != "" || !strings.HasSuffix(f["etc/passwd"], ":/bin/sh\n") {
		t.Errorf("mounts %q, %v", img.Mounts, f)
	}
}

// TestFilteredEtc: what programs need is there, and nothing else of /etc.
func TestFilteredEtc(t *testing.T) {
	need := map[string]string{"ld.so.cache": "x", "ld.so.conf.d/a.conf": "/lib", "ssl/certs/ca.pem": "CERT", "python3.11/sitecustomize.py": "", "java-17/security/java.security": "x", "services": "http"}
	var list []string
	for name, text := range need {
		list = append(list, "etc/"+name+"="+text)
	}
	list = append(list, "usr", "etc/alternatives", "etc/alternatives/cc->/usr/bin/gcc", "etc/localtime->/usr/share/zoneinfo/UTC",
		// None of these.
		"!etc/shadow=S", "etc/passwd=victim:x:1:1::/:/bin/sh", "etc/ssh/ssh_config=S", "etc/machine-id=S", "etc/hosts=S", "etc/hostname=S", "etc/sudoers=S",
		"etc/environment=S", "etc/profile=S", "etc/profile.d/token.sh=S", "etc/gitconfig=S", "etc/npmrc=S", "etc/pip.conf=S", "etc/wgetrc=S", "etc/fstab=S",
		"!etc/ssl/private/key.pem=S", "!etc/ssl/certs/key.pem=S", "!etc/java-17/management/jmxremote.password=S", "etc/nsswitch.conf=passwd: sss",
		"root/x=S", "home/u/x=S", "var/lib/x=S", "run/x=S", "opt/x=S")
	root := host(t, list...)
	f := files(t, make1(t, root))
	for name, text := range need {
		if got, ok := f["etc/"+name]; !ok || got != text {
			t.Errorf("/etc/%s: %q, %v", name, got, ok)
		}
	}
	if f["etc/alternatives/cc"] != "->/usr/bin/gcc" || f["etc/localtime"] != "->/usr/share/zoneinfo/UTC" {
		t.Errorf("links: %v", f)
	}
	for name, text := range f {
		if text == "S" || strings.Contains(text, "victim") || strings.Contains(text, "sss") {
			t.Errorf("%s of the host is there: %q", name, text)
		}
	}
	for _, name := range []string{"etc/shadow", "etc/ssl/private", "root/x", "home/u", "etc/ssh"} {
		if _, there := f[name]; there {
			t.Errorf("%s is there", name)
		}
	}
}

// TestSameBytes: the engine has to load an image once.
func TestSameBytes(t *testing.T) {
	list := []string{"usr", "bin->usr/bin", "etc/services=a", "etc/fonts/x=1", "etc/fonts/y=2"}
	a, b := make1(t, host(t, list...)), make1(t, host(t, list...))
	if !bytes.Equal(a.Archive, b.Archive) || a.Name != b.Name {
		t.Error("two hosts that are the same have different images")
	}
	if c := make1(t, host(t, append(list, "etc/fonts/z=3")...)); c.Name == a.Name {
		t.Error("another host has the same image")
	}
}

func TestNoUsr(t *testing.T) {
	if _, err := Make(host(t, "etc"), "amd64", "x", nil); err == nil {
		t.Error("a host without /usr")
	}
}

func TestEtcBounded(t *testing.T) {
	root := host(t, "usr", "etc/services=x")
	if err := os.Truncate(filepath.Join(root, "etc/services"), maxBytes+1); err != nil {
		t.Fatal(err)
	}
	if _, err := Make(root, "amd64", "x", nil); err == nil || !strings.Contains(err.Error(), "/etc/services") {
		t.Errorf("%v", err)
	}
}

func TestBelow(t *testing.T) {
	const info = `22 1 0:21 / / rw - ext4 /dev/vda rw
30 22 0:30 / /usr/local rw - nfs server:/x rw
31 30 0:31 / /usr/local/my\040dir rw - tmpfs tmpfs rw
32 22 0:32 / /usrlocal rw - tmpfs tmpfs rw
33 22 0:33 / /home rw - tmpfs tmpfs rw
34 22 0:30 / /usr/local rw - nfs server:/x rw
short
35 22 0:35 / /lib/a rw - tmpfs tmpfs rw
`
	got, err := Below(strings.NewReader(info), []string{"/usr", "/lib"})
	if want := []string{"/lib/a", "/usr/local", "/usr/local/my dir"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%q, %v, want %q", got, err, want)
	}
}
