package fakeengine

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// ask sends a request by hand, over a connection of its own, and returns the
// status and what follows the header.
func ask(t *testing.T, e *Engine, request string) (int, *bufio.Reader, *net.UnixConn) {
	t.Helper()
	c, err := net.Dial("unix", e.Socket())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	io.WriteString(c, strings.ReplaceAll(request, "\n", "\r\n"))
	r := bufio.NewReader(c)
	res, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != 101 && res.Header.Get("Content-Type") != "application/vnd.docker.raw-stream" {
		r = bufio.NewReader(res.Body)
	}
	return res.StatusCode, r, c.(*net.UnixConn)
}

func post(path, headers, body string) string {
	return fmt.Sprintf("POST %s HTTP/1.1\nHost: x\n%sContent-Length: %d\n\n%s", path, headers, len(body), body)
}

// TestHijack: an exec's connection is upgraded only when both headers ask.
func TestHijack(t *testing.T) {
	e := Start(t, false)
	id := e.Add(Container{})
	for headers, want := range map[string]int{
		"Connection: Upgrade\nUpgrade: tcp\n": 101,
		"Upgrade: tcp\n":                      200,
		"":                                    200,
	} {
		status, r, _ := ask(t, e, post("/v1.41/containers/"+id+"/exec", "", `{"Cmd":["cat"],"AttachStdin":true}`))
		var created struct {
			ID string `json:"Id"`
		}
		if err := json.NewDecoder(r).Decode(&created); err != nil || status != 201 {
			t.Fatal(status, err)
		}
		status, r, c := ask(t, e, post("/v1.41/exec/"+created.ID+"/start", headers, "{}"))
		if status != want {
			t.Errorf("%q: %d, want %d", headers, status, want)
		}
		io.WriteString(c, "hello")
		c.CloseWrite()
		var out []byte
		for {
			head := make([]byte, 8)
			if _, err := io.ReadFull(r, head); err == io.EOF {
				break
			} else if err != nil || head[0] != 1 {
				t.Fatalf("% x, %v", head, err)
			}
			p := make([]byte, head[7])
			if _, err := io.ReadFull(r, p); err != nil {
				t.Fatal(err)
			}
			out = append(out, p...)
		}
		if string(out) != "hello" {
			t.Errorf("%q came back", out)
		}
	}
}

// TestErrorBodies: each engine words its errors in its own way.
func TestErrorBodies(t *testing.T) {
	for _, podman := range []bool{false, true} {
		e := Start(t, podman)
		status, r, _ := ask(t, e, "GET /v1.41/containers/nope/json HTTP/1.1\nHost: x\n\n")
		var body map[string]any
		if err := json.NewDecoder(r).Decode(&body); err != nil {
			t.Fatal(err)
		}
		if _, cause := body["cause"]; status != 404 || cause != podman || !strings.Contains(body["message"].(string), "nope") {
			t.Errorf("podman %v: %d %v", podman, status, body)
		}
		id := e.Add(Container{Status: "exited"})
		want := 409
		if podman {
			want = 500
		}
		if status, _, _ := ask(t, e, post("/v1.41/containers/"+id+"/exec", "", `{"Cmd":["true"]}`)); status != want {
			t.Errorf("podman %v: exec in a stopped container: %d, want %d", podman, status, want)
		}
	}
}
