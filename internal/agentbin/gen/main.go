// Command gen builds the agent for every architecture and writes it,
// compressed, into the package above. With -check it writes nothing and fails
// if what it built is not what is there.
//
// The bytes depend on the sources and on the Go release, so the release is
// fixed here; the go command fetches it where another one is installed.
package main

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// release is the Go release that the agent is built with.
const release = "go1.26.8"

func main() {
	check := flag.Bool("check", false, "compare, write nothing")
	flag.Parse()
	if err := run(*check); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

func run(check bool) error {
	mod, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return err
	}
	root := strings.TrimSpace(string(mod))
	tmp, err := os.MkdirTemp("", "agent-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	for _, arch := range []string{"amd64", "arm64"} {
		out := filepath.Join(tmp, arch)
		cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid=", "-o", out, "./cmd/pocketdock-agent")
		cmd.Dir = root
		// Every setting that reaches the bytes, whatever the caller's environment.
		cmd.Env = append(os.Environ(), "GOTOOLCHAIN="+release, "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch,
			"GOAMD64=v1", "GOARM64=v8.0", "GOFLAGS=", "GOEXPERIMENT=", "GOWORK=off", "GOFIPS140=off")
		if b, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("building for %s: %w\n%s", arch, err, b)
		}
		program, err := os.ReadFile(out)
		if err != nil {
			return err
		}
		const max = 6 << 20
		if len(program) > max {
			return fmt.Errorf("the agent for %s has %d bytes, the limit is %d", arch, len(program), max)
		}
		if err := put(filepath.Join(root, "internal/agentbin", "agent-linux-"+arch), program, check); err != nil {
			return err
		}
	}
	return nil
}

// put writes or compares one program.
func put(base string, program []byte, check bool) error {
	digest := sha256.Sum256(program)
	sum := []byte(hex.EncodeToString(digest[:]) + "\n")
	var packed bytes.Buffer
	zw, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		return err
	}
	if _, err := zw.Write(program); err != nil {
		return err
	}
	if err := zw.Close(); err != nil {
		return err
	}
	for path, want := range map[string][]byte{base + ".gz": packed.Bytes(), base + ".sha256": sum} {
		if check {
			if have, _ := os.ReadFile(path); !bytes.Equal(have, want) {
				return fmt.Errorf("%s is not what the sources build: run go generate ./internal/agentbin", path)
			}
			continue
		}
		if err := os.WriteFile(path, want, 0o644); err != nil {
			return err
		}
	}
	fmt.Printf("%s: %d bytes, %d packed, sha256 %s", filepath.Base(base), len(program), packed.Len(), sum)
	return nil
}
