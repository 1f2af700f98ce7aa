package hostimage

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
)

// allowed is what is taken of /etc, as patterns of path.Match, directories
// with all that is in them. It is what programs need to run: the linker's
// cache, the names behind alternatives, certificates of authorities, time and
// protocol names. Not here, as they may hold names or secrets: shadow, ssh,
// sudoers, machine-id, hosts, profile and profile.d, environment, and the
// configuration of git, npm, pip and wget, which may have tokens.
var allowed = []string{
	"ld.so.cache", "ld.so.conf", "ld.so.conf.d", "alternatives",
	"ssl/certs", "ssl/cert.pem", "ssl/openssl.cnf", "ca-certificates", "ca-certificates.conf",
	"pki/tls/certs", "pki/tls/cert.pem", "pki/tls/openssl.cnf", "pki/ca-trust/extracted", "crypto-policies",
	"localtime", "timezone", "locale.alias", "locale.conf",
	"protocols", "services", "rpc", "ethertypes", "gai.conf", "mime.types", "magic", "magic.mime",
	"os-release", "debian_version", "alpine-release", "redhat-release", "fedora-release",
	"terminfo", "inputrc", "fonts",
	"python[23]*", "java*", "perl",
}

// Bounds of what is copied. A Debian with Java has 600 entries and 1 MB.
const (
	maxEntries = 20_000
	maxBytes   = 64 << 20
)

// etc copies what is allowed of the host's /etc. Only what everybody on the
// host may read is taken, whoever runs this program; links stay links, and
// what they lead to is there only if it is allowed or in a system directory.
func (l *layer) etc(r *os.Root) error {
	made := map[string]bool{"etc": true}
	for _, pattern := range allowed {
		for _, name := range matches(r, path.Join("etc", pattern)) {
			fi, err := r.Lstat(name)
			if err != nil {
				continue // a parent is a link that leads out, or it was removed meanwhile
			}
			if d := path.Dir(name); !made[d] && !l.parents(r, d, made) {
				continue
			}
			if err := l.copy(r, name, name, fi, made); err != nil {
				return err
			}
		}
	}
	return nil
}

// matches are the names of a pattern whose last part may have wildcards. (Not
// fs.Glob: it follows links, and does not find one that leads out of the root.)
func matches(r *os.Root, pattern string) []string {
	if !strings.ContainsAny(pattern, "*[") {
		return []string{pattern}
	}
	list, err := fs.ReadDir(r.FS(), path.Dir(pattern)) // sorted
	if err != nil {
		return nil // there is no such directory
	}
	var names []string
	for _, e := range list {
		if ok, _ := path.Match(path.Base(pattern), e.Name()); ok {
			names = append(names, path.Join(path.Dir(pattern), e.Name()))
		}
	}
	return names
}

// parents makes the directories above something in /etc; false if one of them
// is none on the host.
func (l *layer) parents(r *os.Root, dir string, made map[string]bool) bool {
	if made[dir] {
		return true
	}
	fi, err := r.Lstat(dir)
	if err != nil || !fi.IsDir() || fi.Mode().Perm()&0o005 != 0o005 || !l.parents(r, path.Dir(dir), made) {
		return false
	}
	l.dir(dir, 0o755)
	made[dir] = true
	return true
}

// copy takes name, which is called base in the directory r.
func (l *layer) copy(r *os.Root, base, name string, fi fs.FileInfo, made map[string]bool) error {
	if l.err != nil || made[name] {
		return l.err
	}
	made[name] = true
	if len(made) > maxEntries {
		return fmt.Errorf("/etc has more than %d entries that programs need", maxEntries)
	}
	switch perm := fi.Mode().Perm(); {
	case fi.Mode().Type() == fs.ModeSymlink:
		to, err := r.Readlink(base)
		if err != nil {
			return ignoreGone(err)
		}
		l.link(name, to)
	case fi.IsDir() && perm&0o005 == 0o005:
		l.dir(name, 0o755)
		return l.children(r, base, name, made)
	case fi.Mode().IsRegular() && perm&0o004 != 0:
		return l.content(r, base, name, fi)
	}
	return l.err
}

// children takes what is in a directory. A root of its own for each saves
// opening all parents for every file.
func (l *layer) children(r *os.Root, base, name string, made map[string]bool) error {
	d, err := r.OpenRoot(base)
	if err != nil {
		return ignoreGone(err)
	}
	defer d.Close()
	list, err := fs.ReadDir(d.FS(), ".") // sorted
	if err != nil {
		return ignoreGone(err)
	}
	for _, e := range list {
		fi, err := e.Info()
		if err != nil {
			continue
		}
		if err := l.copy(d, e.Name(), path.Join(name, e.Name()), fi, made); err != nil {
			return err
		}
	}
	return nil
}

func (l *layer) content(r *os.Root, base, name string, fi fs.FileInfo) error {
	f, err := r.Open(base)
	if err != nil {
		return ignoreGone(err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxBytes+1))
	if err != nil {
		return fmt.Errorf("/%s: %w", name, err)
	}
	if l.bytes += len(b); l.bytes > maxBytes {
		return fmt.Errorf("/%s: what programs need of /etc has more than %d bytes", name, maxBytes)
	}
	l.file(name, b)
	return l.err
}

// ignoreGone: packages come and go while this runs.
func ignoreGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return nil
	}
	return err
}
