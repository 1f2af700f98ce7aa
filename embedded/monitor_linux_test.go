//go:build linux && !noembedded && !race

package embedded_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/pocketdock/pocketdock"
	"github.com/pocketdock/pocketdock/embedded"
)

// TestStatsAreItsOwn: a sandbox's processor time is no more than there was of
// it since the sandbox was created.
func TestStatsAreItsOwn(t *testing.T) {
	state := t.TempDir()
	t.Setenv("POCKETDOCK_STATE_DIR", state)
	h, err := embedded.Handler(filepath.Join(state, "embedded"))
	if err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	c := &pocketdock.Client{EngineName: "embedded"}
	box, err := c.Create(t.Context(), "", pocketdock.CreateOptions{Profile: pocketdock.ProfileHost})
	if err != nil {
		t.Fatal(err)
	}
	defer box.Destroy(context.WithoutCancel(t.Context()))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/containers/"+box.ID()+"/stats?stream=false&one-shot=true", nil))
	var stats struct {
		CPU struct {
			Usage struct {
				Total int64 `json:"total_usage"`
			} `json:"cpu_usage"`
		} `json:"cpu_stats"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &stats); err != nil {
		t.Fatalf("%s: %v", w.Body, err)
	}
	most := time.Since(begun) * time.Duration(runtime.NumCPU())
	if used := time.Duration(stats.CPU.Usage.Total); used <= 0 || used > most {
		t.Errorf("%v of processor time, of %v", used, most)
	}
}

// TestRemovedManyTimesAtOnce: whoever comes second while a container ends does
// not disturb its end.
func TestRemovedManyTimesAtOnce(t *testing.T) {
	state := t.TempDir()
	t.Setenv("POCKETDOCK_STATE_DIR", state)
	dir := filepath.Join(state, "embedded")
	h, err := embedded.Handler(dir)
	if err != nil {
		t.Fatal(err)
	}
	c := &pocketdock.Client{EngineName: "embedded"}
	for range 3 {
		box, err := c.Create(t.Context(), "", pocketdock.CreateOptions{Profile: pocketdock.ProfileHost})
		if err != nil {
			t.Fatal(err)
		}
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				w := httptest.NewRecorder()
				h.ServeHTTP(w, httptest.NewRequest("DELETE", "/containers/"+box.ID()+"?force=true", nil))
				if w.Code != http.StatusNoContent && w.Code != http.StatusNotFound {
					t.Errorf("%d %s", w.Code, w.Body)
				}
			})
		}
		all.Wait()
		if left, _ := os.ReadDir(filepath.Join(dir, "c")); len(left) > 0 {
			t.Errorf("left: %v", left)
		}
		if left, _ := filepath.Glob("/sys/fs/cgroup/*/pocketdock/" + box.ID()[:16]); len(left) > 0 {
			until(t, "the end of the control groups", func() bool {
				left, _ := filepath.Glob("/sys/fs/cgroup/*/pocketdock/" + box.ID()[:16])
				return len(left) == 0
			})
		}
		if err := box.Destroy(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	}
	until(t, "the end of all monitors", func() bool { return len(monitors(t, dir)) == 0 })
}
