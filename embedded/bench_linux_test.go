//go:build linux && !noembedded && !race

package embedded_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pocketdock/pocketdock"
	_ "github.com/pocketdock/pocketdock/embedded"
)

// The benchmarks of this engine, of sandboxes of this machine's programs:
//
//	CGO_ENABLED=0 go test ./embedded -run '^$' -bench . -benchtime 20x

// fresh is a client whose state is the benchmark's own. Its first sandbox, for
// which this machine is read, is made and gone.
func fresh(b *testing.B) *pocketdock.Client {
	b.Helper()
	b.Setenv("POCKETDOCK_STATE_DIR", b.TempDir())
	c := &pocketdock.Client{EngineName: "embedded"}
	destroy(b, sandbox(b, c))
	return c
}

func sandbox(b *testing.B, c *pocketdock.Client) *pocketdock.Container {
	b.Helper()
	box, err := c.Create(b.Context(), "", pocketdock.CreateOptions{Profile: pocketdock.ProfileHost})
	if err != nil {
		b.Fatal(err)
	}
	return box
}

func destroy(b *testing.B, box *pocketdock.Container) {
	b.Helper()
	if err := box.Destroy(context.WithoutCancel(b.Context())); err != nil {
		b.Fatal(err)
	}
}

func hello(b *testing.B, box *pocketdock.Container) {
	b.Helper()
	res, err := box.Run(b.Context(), pocketdock.Argv("echo", "hello"))
	if err != nil || string(res.Stdout) != "hello\n" {
		b.Fatalf("%+v, %v", res, err)
	}
}

// p50 reports the median of what the loop measures.
func p50(b *testing.B, took []time.Duration) {
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
}

// BenchmarkDo is the command as a whole process: a sandbox is made, runs true,
// and is removed.
func BenchmarkDo(b *testing.B) {
	program := filepath.Join(b.TempDir(), "pocketdock")
	build := exec.Command("go", "build", "-ldflags=-s -w", "-o", program, "../cmd/pocketdock")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		b.Fatalf("%v: %s", err, out)
	}
	fresh(b)
	var took []time.Duration
	for b.Loop() {
		begun := time.Now()
		if out, err := exec.Command(program, "--engine", "embedded", "do", "--", "true").CombinedOutput(); err != nil {
			b.Fatalf("%v: %s", err, out)
		}
		took = append(took, time.Since(begun))
	}
	p50(b, took)
}

// BenchmarkFirstOutput is from the creation of a sandbox to the output of its
// first command.
func BenchmarkFirstOutput(b *testing.B) {
	c := fresh(b)
	var took []time.Duration
	for b.Loop() {
		begun := time.Now()
		box := sandbox(b, c)
		hello(b, box)
		took = append(took, time.Since(begun))
		b.StopTimer()
		destroy(b, box)
		b.StartTimer()
	}
	p50(b, took)
}

// BenchmarkRun is a command in a sandbox that runs.
func BenchmarkRun(b *testing.B) {
	box := sandbox(b, fresh(b))
	defer destroy(b, box)
	hello(b, box)
	var took []time.Duration
	for b.Loop() {
		begun := time.Now()
		hello(b, box)
		took = append(took, time.Since(begun))
	}
	p50(b, took)
}

// BenchmarkMemory is what each of twenty sandboxes takes of memory, what
// processes share counted in parts (PSS).
func BenchmarkMemory(b *testing.B) {
	const boxes = 20
	c := fresh(b)
	var total int64
	for b.Loop() {
		list := make([]*pocketdock.Container, boxes)
		var all sync.WaitGroup
		for i := range list {
			all.Go(func() {
				box, err := c.Create(b.Context(), "", pocketdock.CreateOptions{Profile: pocketdock.ProfileHost})
				if err != nil {
					b.Error(err)
					return
				}
				list[i] = box
			})
		}
		all.Wait()
		if b.Failed() {
			b.FailNow()
		}
		for _, box := range list {
			hello(b, box)
		}
		total += pss(b, os.Getenv("POCKETDOCK_STATE_DIR"))
		for _, box := range list {
			destroy(b, box)
		}
	}
	b.ReportMetric(float64(total)/float64(b.N*boxes)/1e6, "MB/sandbox")
}

// pss is the memory of all processes whose command line names a directory.
func pss(b *testing.B, dir string) int64 {
	b.Helper()
	list, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		b.Fatal(err)
	}
	var sum int64
	for _, p := range list {
		line, err := os.ReadFile(p + "/cmdline")
		if err != nil || !bytes.Contains(line, []byte(dir)) {
			continue
		}
		text, err := os.ReadFile(p + "/smaps_rollup")
		if err != nil {
			continue // it has ended
		}
		for l := range strings.Lines(string(text)) {
			if v, ok := strings.CutPrefix(l, "Pss:"); ok {
				n, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(v), "kB")), 10, 64)
				if err != nil {
					b.Fatal(fmt.Errorf("%s: %w", l, err))
				}
				sum += n << 10
			}
		}
	}
	if sum == 0 {
		b.Fatal("no process of a sandbox found")
	}
	return sum
}
