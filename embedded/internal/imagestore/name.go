package imagestore

import (
	"strings"

	"github.com/pocketdock/pocketdock/internal/pattern"
)

// A name is kept in full, "docker.io/library/busybox:latest", and shown as
// Docker shows it, "busybox:latest". The rules are those of
// https://github.com/distribution/reference; Podman's names of what it built
// itself begin with "localhost/".
const (
	dockerHub   = "docker.io"
	hubLibrary  = dockerHub + "/library/"
	localhost   = "localhost"
	maxNameSize = 255 // bytes without the tag
)

var (
	hostPart = pattern.New(`^(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?$`)
	pathPart = pattern.New(`^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$`)
	tagPart  = pattern.New(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$`)
)

// fullName completes a name: the registry is Docker's and the tag is latest
// where it says none.
func fullName(name string) (string, error) {
	if strings.Contains(name, "@") {
		return "", invalidf("image name %.200q: digests of registries are not kept; use a name, or the image's ID", name)
	}
	repo, tag := name, "latest"
	if i := strings.LastIndexByte(name, ':'); i > strings.LastIndexByte(name, '/') {
		repo, tag = name[:i], name[i+1:]
	}
	host, path, ok := strings.Cut(repo, "/")
	if !ok || host != localhost && !strings.ContainsAny(host, ".:") && strings.ToLower(host) == host {
		host, path = dockerHub, repo
	}
	if host == "index.docker.io" {
		host = dockerHub
	}
	if host == dockerHub && !strings.Contains(path, "/") {
		path = "library/" + path
	}
	full := host + "/" + path
	if !hostPart.MatchString(host) || len(full) > maxNameSize || !tagPart.MatchString(tag) {
		return "", invalidf("image name %.200q: not a name of an image", name)
	}
	for part := range strings.SplitSeq(path, "/") {
		if !pathPart.MatchString(part) {
			if part != strings.ToLower(part) {
				return "", invalidf("image name %.200q: it must be lowercase", name)
			}
			return "", invalidf("image name %.200q: not a name of an image", name)
		}
	}
	if isHex(path[strings.LastIndexByte(path, '/')+1:]) && len(name) == 64 {
		return "", invalidf("image name %.200q: it looks like an ID", name)
	}
	return full + ":" + tag, nil
}

// shortName is how Docker shows a full name.
func shortName(full string) string {
	if s, ok := strings.CutPrefix(full, hubLibrary); ok && !strings.Contains(s, "/") {
		return s
	}
	return strings.TrimPrefix(full, dockerHub+"/")
}

// localName is what Podman calls what it built under a name without a
// registry, if full may have been that.
func localName(full string) (string, bool) {
	s := shortName(full)
	return localhost + "/" + s, s != full
}

// splitTag splits a full or short name.
func splitTag(name string) (repo, tag string) {
	i := strings.LastIndexByte(name, ':')
	return name[:i], name[i+1:]
}
