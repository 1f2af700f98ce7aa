package pocketdock

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// TestCreateOptionsCheck: each row breaks one rule, and the error names the
// value.
func TestCreateOptionsCheck(t *testing.T) {
	for _, tt := range []struct {
		opts CreateOptions
		says string // part of the error; empty: accepted
	}{
		{CreateOptions{}, ""},
		{CreateOptions{Name: "a"}, ""},
		{CreateOptions{Name: "A1_.-"}, ""},
		{CreateOptions{Name: strings.Repeat("a", 128)}, ""},
		{CreateOptions{Name: strings.Repeat("a", 129)}, "name"},
		{CreateOptions{Name: "-a"}, `"-a"`},
		{CreateOptions{Name: ".a"}, `".a"`},
		{CreateOptions{Name: "a b"}, `"a b"`},
		{CreateOptions{Name: "a/b"}, `"a/b"`},
		{CreateOptions{Name: "ä"}, `"ä"`},
		{CreateOptions{Name: "a\n"}, "name"},
		{CreateOptions{Name: "a?x"}, "name"},

		{CreateOptions{Env: map[string]string{"A": "", "B": "x=y\n"}}, ""},
		{CreateOptions{Env: map[string]string{"": "x"}}, "environment"},
		{CreateOptions{Env: map[string]string{"A=B": "x"}}, `"A=B"`},
		{CreateOptions{Env: map[string]string{"A\x00": "x"}}, "environment"},
		{CreateOptions{Env: map[string]string{"A": "x\x00"}}, "A"},

		{CreateOptions{Dir: "/work"}, ""},
		{CreateOptions{Dir: "work"}, `"work"`},

		{CreateOptions{Memory: 6 << 20}, ""},
		{CreateOptions{Memory: 6<<20 - 1}, "memory"},
		{CreateOptions{Memory: -1}, ""},
		{CreateOptions{CPUPercent: 1}, ""},
		{CreateOptions{CPUPercent: -1}, ""},
		{CreateOptions{CPUPercent: 100_001}, "100001"},
		{CreateOptions{PIDs: -1}, ""},
		{CreateOptions{Disk: -1}, "disk"},
		{CreateOptions{TTL: -time.Second}, "-1s"},
		{CreateOptions{IdleTimeout: -time.Second}, "-1s"},
		{CreateOptions{Timeout: -time.Second}, ""},

		{CreateOptions{Network: true, Ports: []Port{{Container: 80}}}, ""},
		{CreateOptions{Network: true, Ports: []Port{{Container: 65535, Host: 65535, Address: "::1", Protocol: "udp"}}}, ""},
		{CreateOptions{Ports: []Port{{Container: 80}}}, "Network"},
		{CreateOptions{Network: true, Ports: []Port{{}}}, "port 0"},
		{CreateOptions{Network: true, Ports: []Port{{Container: 65536}}}, "65536"},
		{CreateOptions{Network: true, Ports: []Port{{Container: 80, Host: -1}}}, "-1"},
		{CreateOptions{Network: true, Ports: []Port{{Container: 80, Host: 65536}}}, "65536"},
		{CreateOptions{Network: true, Ports: []Port{{Container: 80, Address: "localhost"}}}, `"localhost"`},
		{CreateOptions{Network: true, Ports: []Port{{Container: 80, Protocol: "sctp"}}}, `"sctp"`},

		{CreateOptions{Volumes: []Volume{{Host: "/h", Container: "/c"}}}, ""},
		{CreateOptions{Volumes: []Volume{{Host: "h", Container: "/c"}}}, ""},
		{CreateOptions{Volumes: []Volume{{Container: "/c"}}}, "volume"},
		{CreateOptions{Volumes: []Volume{{Host: "/h"}}}, "volume"},
		{CreateOptions{Volumes: []Volume{{Host: "/h", Container: "c"}}}, `"c"`},
		{CreateOptions{Volumes: []Volume{{Host: "/h", Container: "/"}}}, "root"},
		{CreateOptions{Volumes: []Volume{{Host: "/h", Container: "/a/.."}}}, "root"},
		{CreateOptions{Volumes: []Volume{{Host: "/h\x00", Container: "/c"}}}, "volume"},
		{CreateOptions{Volumes: []Volume{{Host: "/h", Container: agentDir}}}, "pocketdock's own"},
		{CreateOptions{Volumes: []Volume{{Host: "/h", Container: "/x/../" + agentIO}}}, "pocketdock's own"},
		{CreateOptions{Volumes: []Volume{{Host: "/h", Container: agentDir + "2"}}}, ""},

		{CreateOptions{Devices: []string{"/dev/fuse"}}, ""},
		{CreateOptions{Devices: []string{"fuse"}}, `"fuse"`},
		{CreateOptions{Devices: []string{"/dev/a:/dev/b"}}, "device"},

		{CreateOptions{Tmpfs: map[string]int64{"/t": 0, "/u": 1 << 20}}, ""},
		{CreateOptions{Tmpfs: map[string]int64{"t": 0}}, `"t"`},
		{CreateOptions{Tmpfs: map[string]int64{"/t": -1}}, "-1"},

		{CreateOptions{ProjectDir: "/srv/my project"}, ""},
		{CreateOptions{ProjectDir: "relative"}, "relative"},
		{CreateOptions{ProjectDir: "/a\x00b"}, "project"},
		{CreateOptions{Labels: map[string]string{"x": "y", "pocketdockish": ""}}, ""},
		{CreateOptions{Labels: map[string]string{"pocketdock.managed": "false"}}, "pocketdock.managed"},
		{CreateOptions{Labels: map[string]string{"": "y"}}, "label"},
	} {
		err := tt.opts.check()
		if (err == nil) != (tt.says == "") || err != nil && (!errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), tt.says)) {
			t.Errorf("%+v: %v, want %q", tt.opts, err, tt.says)
		}
	}
}

func TestCheckImage(t *testing.T) {
	for _, good := range []string{"debian", "debian:bookworm-slim", "localhost/x:1", "registry.example:5000/a/b:c", "sha256:0123", "x@sha256:0123"} {
		if err := checkImage(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, bad := range []string{"", "/x", "a b", "a\nb", "a?b", "a#b", "a%2fb", `a\b`, "a\x00", "../containers/x", "a/../b", strings.Repeat("a", 513)} {
		if err := checkImage(bad); !errors.Is(err, ErrInvalid) {
			t.Errorf("%.40q becomes part of an API path (%v)", bad, err)
		}
	}
}

func TestCheckNewName(t *testing.T) {
	for _, good := range []string{"debian", "debian:bookworm-slim", "a.b_c__d---e/f:V1.0-x_", "localhost/x:1", "Registry.Example:5000/a/b:c",
		"host:5000/a", "[::1]:5000/a", "127.0.0.1/a", strings.Repeat("a", 255), "x:" + strings.Repeat("a", 128), strings.Repeat("a", 63)} {
		if err := checkNewName(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, bad := range []string{"", "A", "Walk/Snap:1", "a/B", "a..b", "a___b", "-a", "a-", "a/", "a//b", "a:", "a:-x", "a:b:c", "a:b/c", "x@sha256:0123", "x y",
		strings.Repeat("a", 256), "x:" + strings.Repeat("a", 129), strings.Repeat("a", 64), "sha256:" + strings.Repeat("a", 64) + "\n"} {
		if err := checkNewName(bad); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "image") {
			t.Errorf("%.40q: %v", bad, err)
		}
	}
}

func TestSplitTag(t *testing.T) {
	for _, tt := range []struct{ in, repo, tag string }{
		{"x", "x", "latest"},
		{"x:1", "x", "1"},
		{"a/b:c", "a/b", "c"},
		{"host:5000/x", "host:5000/x", "latest"},
		{"host:5000/x:1", "host:5000/x", "1"},
	} {
		if repo, tag := splitTag(tt.in); repo != tt.repo || tag != tt.tag {
			t.Errorf("%q: %q, %q; want %q, %q", tt.in, repo, tag, tt.repo, tt.tag)
		}
	}
}
