package engine

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"
)

func answer(status int, contentType, body string) *http.Response {
	return &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {contentType}}, Body: io.NopCloser(strings.NewReader(body))}
}

func TestStatusErrorMessage(t *testing.T) {
	long := strings.Repeat("é", 64<<10)
	for _, tt := range []struct {
		name, contentType, body string
		want                    string
	}{
		{"Docker", "application/json", `{"message":"No such container: x"}`, "No such container: x"},
		{"Podman", "application/json", `{"cause":"no such container","message":"no container with name or ID \"x\" found","response":404}`,
			`no container with name or ID "x" found`},
		{"text", "text/plain", "page not found\n", "page not found"},
		{"nothing", "", "", "Internal Server Error"},
		{"spaces", "", " \n\t ", "Internal Server Error"},
		{"JSON without a message", "application/json", `{"cause":"x"}`, `{"cause":"x"}`},
		{"JSON of another shape", "application/json", `{"message":{"text":"x"}}`, `{"message":{"text":"x"}}`},
		{"a web page", "text/html; charset=utf-8", "<html><body>Bad gateway</body></html>", "Internal Server Error (a web page, not an engine's answer)"},
		{"an endless text", "text/plain", long, long[:maxErrorText] + "…"},
		{"an endless message", "application/json", `{"message":"` + strings.Repeat("x", 3000) + `"}`, strings.Repeat("x", maxErrorText) + "…"},
	} {
		e := statusError("POST", "/x", answer(500, tt.contentType, tt.body))
		if e.Message != tt.want {
			t.Errorf("%s: %.200q, want %.200q", tt.name, e.Message, tt.want)
		}
		if text := e.Error(); !strings.Contains(text, "500") || !strings.Contains(text, "POST /x") {
			t.Errorf("%s: %.200q does not say what was asked and answered", tt.name, text)
		}
	}
}

// The messages are those of moby 20.10 (daemon/*.go, errdefs) and podman 4.3
// (libpod/define/errors.go, pkg/api/handlers/utils/errors.go).
func TestClassify(t *testing.T) {
	type kinds struct{ notFound, notRunning, noImage, conflict bool }
	for _, tt := range []struct {
		status  int
		message string
		want    kinds
	}{
		// Docker
		{404, "No such container: x", kinds{notFound: true}},
		{404, "No such image: x:latest", kinds{notFound: true, noImage: true}},
		{404, "no such image: x: No such image: x:latest", kinds{notFound: true, noImage: true}},
		{409, "Container 0123 is not running", kinds{notRunning: true}},
		{409, "Container 0123 is paused, unpause the container before exec", kinds{notRunning: true}},
		{409, "Container 0123 is restarting, wait until the container is running", kinds{notRunning: true}},
		{409, `Conflict. The container name "/x" is already in use by container "0123". You have to remove (or rename) that container to be able to reuse that name.`, kinds{conflict: true}},
		{409, "removal of container 0123 is already in progress", kinds{}},
		{409, "conflict: unable to remove repository reference \"x\" (must force) - container 0123 is using its referenced image 4567", kinds{}},
		{500, "OCI runtime create failed: container_linux.go:380: starting container process caused: exec: \"x\"", kinds{}},
		{400, "invalid reference format", kinds{}},
		{404, "No such exec instance: 0123", kinds{}},
		// Podman
		{404, "no exec session with ID 0123 found: no such exec session", kinds{}},
		{404, `no container with name or ID "x" found: no such container`, kinds{notFound: true}},
		{404, `failed to find image x: x: image not known`, kinds{notFound: true, noImage: true}},
		{500, `x: image not known`, kinds{noImage: true}},
		{500, `docker.io/x does not resolve to an image: image not known`, kinds{noImage: true}},
		{500, "can only create exec sessions on running containers: container state improper", kinds{notRunning: true}},
		{409, "can only create exec sessions on running containers: container state improper", kinds{notRunning: true}},
		{500, `creating container storage: the container name "x" is already in use by 0123. You have to remove that container to be able to reuse that name: that name is already in use`, kinds{conflict: true}},
		{500, "runc: runtime error", kinds{}},
		// A missing thing is not a refusal of another kind.
		{200, "no such image", kinds{}},
	} {
		e := &StatusError{Status: tt.status, Message: tt.message}
		got := kinds{e.NotFound(), e.NotRunning(), e.NoSuchImage(), e.Conflict()}
		if got != tt.want {
			t.Errorf("%d %.60q: %+v, want %+v", tt.status, tt.message, got, tt.want)
		}
	}
}

// TestWebPageIsNotNotFound: a proxy's 404 says nothing about a container, and
// Destroy takes "not found" for done.
func TestWebPageIsNotNotFound(t *testing.T) {
	if statusError("GET", "/x", answer(404, "text/html", "<h1>Not Found</h1>")).NotFound() {
		t.Error("a web page is read as an engine's answer")
	}
	if !statusError("HEAD", "/x", answer(404, "", "")).NotFound() {
		t.Error("the answer to a HEAD has no body, and is an engine's")
	}
}

func FuzzStatusError(f *testing.F) {
	f.Add("application/json", `{"message":"x"}`)
	f.Add("text/html", "<p>")
	f.Add("", "\xff\xfe")
	f.Fuzz(func(t *testing.T, contentType, body string) {
		e := statusError("GET", "/x", answer(500, contentType, body))
		if e.Message == "" || len(e.Message) > maxErrorText+len("…") {
			t.Fatalf("a message of %d bytes", len(e.Message))
		}
		if !utf8.ValidString(e.Message) {
			t.Fatalf("%q is not text", e.Message)
		}
	})
}
