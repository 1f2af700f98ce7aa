// Package agentbin carries the agent's program for each architecture that a
// sandbox may have. The files are made by the gen program beside it and are
// the same bytes wherever they are built with the Go release that it names.
package agentbin

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
)

//go:generate go run ./gen

//go:embed *.gz *.sha256
var files embed.FS

// maxProgram bounds the unpacked size; the agent's own limit is 6 MB.
const maxProgram = 8 << 20

// Sum is the SHA-256 of the program for an architecture (Go's name for it),
// in hexadecimal.
func Sum(arch string) (string, error) {
	b, err := files.ReadFile(name(arch) + ".sha256")
	if err != nil {
		return "", fmt.Errorf("there is no agent for architecture %q (there is one for amd64 and arm64)", arch)
	}
	return strings.TrimSpace(string(b)), nil
}

// Program unpacks the program for an architecture.
func Program(arch string) ([]byte, error) {
	sum, err := Sum(arch)
	if err != nil {
		return nil, err
	}
	packed, err := files.ReadFile(name(arch) + ".gz")
	if err != nil {
		return nil, err
	}
	zr, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(zr, maxProgram))
	if err != nil {
		return nil, err
	}
	if got := sha256.Sum256(b); hex.EncodeToString(got[:]) != sum {
		return nil, fmt.Errorf("the embedded agent for %s does not match its checksum: run go generate ./internal/agentbin", arch)
	}
	return b, nil
}

func name(arch string) string { return "agent-linux-" + arch }
