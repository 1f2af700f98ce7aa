package pocketdock_test

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pocketdock/pocketdock"
	"github.com/pocketdock/pocketdock/internal/fakeengine"
)

// TestSuiteEngineDetails compares what is known of the engines in use with
// what their containers really get.
func TestSuiteEngineDetails(t *testing.T) {
	onEngines(t, func(t *testing.T, e testEngine) {
		d, err := e.client.EngineDetails(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%+v", *d)
		if d.Name == "" || d.Version == "" || d.OS == "" || d.CPUs < 1 || d.Memory < 1<<20 || d.CgroupVersion == 0 || d.StorageDriver == "" ||
			d.DataRoot == "" || d.DefaultRuntime == "" || !slices.Contains(d.Runtimes, d.DefaultRuntime) {
			t.Errorf("something is missing: %+v", *d)
		}
		user := e.name == "embedded" && os.Getuid() != 0 // which has one ID, and none subordinate
		if want := e.name == "rootless" || user; d.Rootless != want || d.UserNamespace != want || (d.SubUIDs > 0) != (want && !user) {
			t.Errorf("rootless %v, user namespace %v, %d subordinate IDs", d.Rootless, d.UserNamespace, d.SubUIDs)
		}
		box := create(t, e, busybox, pocketdock.CreateOptions{})
		info, err := box.Info(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if limited := slices.Contains(d.Controllers, "memory"); limited != (info.MemoryLimit > 0) && !user {
			t.Errorf("controllers %v, and the memory limit is %d", d.Controllers, info.MemoryLimit)
		}
		res := mustRun(t, box, pocketdock.Shell("grep Seccomp: /proc/self/status"))
		if filtered := strings.Contains(string(res.Stdout), "2"); filtered != (d.Seccomp != "" && d.Seccomp != "unconfined") {
			t.Errorf("seccomp profile %q, and the kernel says %s", d.Seccomp, res.Stdout)
		}
	})
}

// TestEngineDetailsNonsense: an engine may say anything; it is bounded, fit
// to be shown, or an error.
func TestEngineDetailsNonsense(t *testing.T) {
	long := strings.Repeat("x", 1<<20)
	for _, podman := range []bool{false, true} {
		route := "GET /info"
		if podman {
			route = "GET /libpod/info"
		}
		for _, tt := range []struct {
			name, body string
			fails      bool
		}{
			{"nothing", "", true},
			{"a list", "[]", true},
			{"null", "null", false},
			{"empty", "{}", false},
			{"wrong types", `{"NCPU": "many", "host": 7}`, true},
			{"nulls", `{"Runtimes": null, "SecurityOptions": null, "host": {"security": null, "idMappings": null, "cgroupControllers": null}}`, false},
			{"negative", `{"NCPU": -5, "MemTotal": -1, "host": {"security": {"rootless": true}, "idMappings": {"uidmap": [{"size": 1}, {"size": -9}, {"size": 9223372036854775807}, {"size": 9223372036854775807}]}}}`, false},
			{"control characters", `{"OperatingSystem": "\u001b[2Jü\u009b\u202e", "Driver": "a\nb", "Warnings": ["\u0007"], "SecurityOptions": ["name=seccomp,profile=\u001b]0;x\u0007", "", ",", "name="], "host": {"cgroupControllers": ["\u001b[31m"]}}`, false},
			{"long", fmt.Sprintf(`{"OperatingSystem": %q, "Runtimes": {%q: {}}, "host": {"cgroupControllers": [%q]}}`, long, long, long), false},
			{"many", fmt.Sprintf(`{"Warnings": [%s"x"], "host": {"cgroupControllers": [%[1]s"x"]}}`, strings.Repeat(`"x",`, 100_000)), false},
		} {
			t.Run(fmt.Sprintf("podman=%v/%s", podman, tt.name), func(t *testing.T) {
				f := fakeengine.Start(t, podman)
				f.Fault(route, func(w http.ResponseWriter, _ *http.Request, _ http.Handler) { w.Write([]byte(tt.body)) })
				client := &pocketdock.Client{Socket: f.Socket()}
				d, err := client.EngineDetails(t.Context())
				if tt.fails {
					if err == nil || len(err.Error()) > maxErrorText {
						t.Errorf("%+v, %v", d, err)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				text := fmt.Sprintf("%+v", *d)
				if len(text) > 256*70 || strings.ContainsAny(text, "\x1b\x07\n\u009b\u202e") || d.CPUs < 0 || d.Memory < 0 || d.SubUIDs < -1 {
					t.Errorf("%d bytes: %.300q", len(text), text)
				}
			})
		}
	}
	f := fakeengine.Start(t, false)
	f.Fault("GET /info", func(w http.ResponseWriter, _ *http.Request, _ http.Handler) { w.WriteHeader(500) })
	promptly(t, "refused", 5*time.Second, func() error {
		_, err := (&pocketdock.Client{Socket: f.Socket()}).EngineDetails(t.Context())
		return err
	})
}

// TestSuiteWithoutAgent: the same container by the engine's own exec.
func TestSuiteWithoutAgent(t *testing.T) {
	onEach(t, []string{socketWay}, func(t *testing.T, box *pocketdock.Container) {
		plain := box.WithoutAgent()
		if info, err := plain.Info(t.Context()); err != nil || info.ExecPath != engineWay {
			t.Errorf("%v, %v", info, err)
		}
		res := mustRun(t, plain, pocketdock.Shell("echo $((6*7)); id -u"))
		if string(res.Stdout) != "42\n0\n" {
			t.Errorf("%q", res.Stdout)
		}
		if _, err := plain.Start(t.Context(), pocketdock.Argv("true")); !errors.Is(err, pocketdock.ErrUnsupported) {
			t.Errorf("a detached process: %v", err)
		}
		if info, err := box.Info(t.Context()); err != nil || info.ExecPath != socketWay {
			t.Errorf("%v, %v", info, err)
		}
	})
}
