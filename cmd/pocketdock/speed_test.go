//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pocketdock/pocketdock"
)

// TestStartIsQuick: what needs no engine is there at once. The aim is 20 ms
// for a whole process; the ceiling is for a busy machine and the race detector.
func TestStartIsQuick(t *testing.T) {
	const ceiling = 2 * time.Second
	t.Setenv("GORACE", "atexit_sleep_ms=0") // with the race detector a process sleeps for a second at its end
	for _, args := range [][]string{{"version"}, {"--help"}, {"run", "--help"}, {"completion", "bash"}} {
		var took []time.Duration
		for range 5 {
			begun := time.Now()
			if out, err := exec.Command("pocketdock", args...).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			took = append(took, time.Since(begun))
		}
		if best := slices.Min(took); best > ceiling {
			t.Errorf("%s: %v at best, more than %v", args, best, ceiling)
		}
	}
}

// BenchmarkProcess is a whole process from start to end.
func BenchmarkProcess(b *testing.B) {
	for _, args := range [][]string{{"version"}, {"--help"}} {
		b.Run(args[0], func(b *testing.B) {
			for b.Loop() {
				if out, err := exec.Command("pocketdock", args...).CombinedOutput(); err != nil {
					b.Fatalf("%v: %s", err, out)
				}
			}
		})
	}
	benchmarkEngines(b)
}

// TestListOfManyIsQuick: 200 sandboxes, sorted and in a table. The aim is
// 150 ms with the engine's own time; here it takes none.
func TestListOfManyIsQuick(t *testing.T) {
	var items []map[string]any
	for i := range 200 {
		items = append(items, map[string]any{"Id": fmt.Sprintf("%064x", i), "Names": []string{fmt.Sprintf("/box-%d", i)}, "State": "running",
			"Created": 1700000000 + i, "Labels": map[string]string{"pocketdock.managed": "true", "pocketdock.image": testImage}})
	}
	dir, err := os.MkdirTemp("", "pd")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	l, err := net.Listen("unix", dir+"/s")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Libpod-Api-Version", "5.0.0")
		w.Header().Set("Api-Version", "1.41")
		if strings.HasSuffix(r.URL.Path, "/containers/json") {
			json.NewEncoder(w).Encode(items)
		}
	})}
	go srv.Serve(l)
	defer srv.Close()
	t.Setenv("POCKETDOCK_SOCKET", dir+"/s")
	const ceiling = 10 * time.Second // 1.4 s were seen with three suites at once and the race detector
	best := time.Hour
	for range 3 {
		begun := time.Now()
		code, out, errs := try(t, "list")
		if code != 0 || strings.Count(out, "\n") != 201 {
			t.Fatalf("code %d, %d lines, %s", code, strings.Count(out, "\n"), errs)
		}
		best = min(best, time.Since(begun))
	}
	if best > ceiling {
		t.Errorf("%v at best, more than %v", best, ceiling)
	}
	t.Logf("%v", best)
}

// TestSuiteFewRequests: what a command asks of an engine is what it takes
// most of its time for.
func TestSuiteFewRequests(t *testing.T) {
	onBox(t, func(t *testing.T, box *pocketdock.Container) {
		var n atomic.Int32
		for _, v := range environment(box) {
			name, value, _ := strings.Cut(v, "=")
			t.Setenv(name, value)
		}
		t.Setenv("POCKETDOCK_SOCKET", relay(t, box.Socket(), &n))
		for _, tt := range []struct {
			args []string
			want int32
		}{
			{[]string{"version"}, 0},
			{[]string{"run", box.Name(), "true"}, 2}, // who the engine is, and the container
			{[]string{"list"}, 2},
			{[]string{"ps", box.Name()}, 2},
		} {
			n.Store(0)
			if code, _, errs := try(t, tt.args...); code != 0 || n.Load() != tt.want {
				t.Errorf("%q: code %d, %d requests, want %d; %s", tt.args, code, n.Load(), tt.want, errs)
			}
		}
	})
}

// relay is a socket that leads to another, and counts connections.
func relay(t *testing.T, to string, n *atomic.Int32) string {
	dir, err := os.MkdirTemp("", "pd")
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", dir+"/s")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			n.Add(1)
			wg.Go(func() {
				defer in.Close()
				out, err := net.Dial("unix", to)
				if err != nil {
					return
				}
				defer out.Close()
				wg.Go(func() { io.Copy(out, in); out.(*net.UnixConn).CloseWrite() })
				io.Copy(in, out)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		wg.Wait()
		os.RemoveAll(dir)
	})
	return dir + "/s"
}
