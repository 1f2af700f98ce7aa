package engine

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// TestOpenAsksLittle: one request where its answer says who the engine is and
// that it serves our API version, /version where it does not.
func TestOpenAsksLittle(t *testing.T) {
	version := `{"Version":"29.0.0","ApiVersion":"1.52","MinAPIVersion":"1.44"}`
	for _, tt := range []struct {
		name         string
		server, api  string // of the answer to the ping
		libpod       string
		status       int
		asked        []string
		kind, v, use string
	}{
		{"Docker", "Docker/20.10.24+dfsg1 (linux)", "1.41", "", 200, []string{"/v1.41/_ping"}, "docker", "20.10.24+dfsg1", "1.41"},
		{"newer Docker", "Docker/28.5.1 (linux)", "1.51", "", 200, []string{"/v1.41/_ping"}, "docker", "28.5.1", "1.41"},
		{"Docker that serves ours no longer", "Docker/29.0.0 (linux)", "1.52", "", 400, []string{"/v1.41/_ping", "/version"}, "docker", "29.0.0", "1.44"},
		{"Podman", "Libpod/4.3.1 (linux)", "1.41", "4.3.1", 200, []string{"/v1.41/_ping"}, "podman", "4.3.1", "1.41"},
		{"something else", "", "", "", 404, []string{"/v1.41/_ping", "/version"}, "docker", "29.0.0", "1.44"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir, err := os.MkdirTemp("", "pd-")
			if err != nil {
				t.Fatal(err)
			}
			defer os.RemoveAll(dir)
			var asked []string
			srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				asked = append(asked, r.URL.Path)
				if r.URL.Path == "/version" {
					w.Write([]byte(version))
					return
				}
				for k, v := range map[string]string{"Server": tt.server, "Api-Version": tt.api, "Libpod-Api-Version": tt.libpod} {
					if v != "" {
						w.Header().Set(k, v)
					}
				}
				w.WriteHeader(tt.status)
			})}
			go srv.Serve(listen(t, filepath.Join(dir, "s")))
			defer srv.Close()
			e, err := Open(t.Context(), filepath.Join(dir, "s"))
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(asked, tt.asked) || e.Name != tt.kind || e.Version != tt.v || e.API != tt.use {
				t.Errorf("asked %q: %s %s, API %s", asked, e.Name, e.Version, e.API)
			}
		})
	}
}
