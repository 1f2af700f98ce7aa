package mcp

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/pocketdock/pocketdock"
)

const testToken = "0123456789abcdef-token"

// listen serves over HTTP and returns the URL, and what ends it.
func listen(t testing.TB, s *Server, o HTTPOptions) (url string, stop func()) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.ServeHTTP(ctx, l, o) }()
	stop = func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("serving: %v", err)
		}
		ended <- nil
	}
	t.Cleanup(stop)
	return "http://" + l.Addr().String() + HTTPPath, stop
}

// A bearer adds a token to requests.
type bearer string

func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+string(b))
	return http.DefaultTransport.RoundTrip(r)
}

func connectHTTP(t testing.TB, url string, rt http.RoundTripper) testClient {
	t.Helper()
	cs, err := sdk.NewClient(&sdk.Implementation{Name: "test", Version: "1"}, nil).Connect(t.Context(),
		&sdk.StreamableClientTransport{Endpoint: url, HTTPClient: &http.Client{Transport: rt}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cs.Close()
		http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	})
	return testClient{t, cs}
}

// initialize is a client's first message.
const initialize = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}`

// post sends one message and returns the status and the session.
func post(t testing.TB, url, body string, header map[string]string) (status int, session, answer string) {
	t.Helper()
	return send(t, http.MethodPost, url, body, header)
}

func send(t testing.TB, method, url, body string, header map[string]string) (status int, session, answer string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, text/event-stream")
	for k, v := range header {
		if k == "Host" {
			req.Host = v
		} else {
			req.Header.Set(k, v)
		}
	}
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, _ := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	return res.StatusCode, res.Header.Get(sessionHeader), string(b)
}

// TestHTTPGuard: who is let in.
func TestHTTPGuard(t *testing.T) {
	s, err := New(Options{Client: &pocketdock.Client{Socket: "/nonexistent.sock"}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	url, _ := listen(t, s, HTTPOptions{Token: testToken})
	host := strings.TrimSuffix(strings.TrimPrefix(url, "http://"), HTTPPath)
	auth := "Bearer " + testToken
	for _, tc := range []struct {
		name   string
		header map[string]string
		want   int
	}{
		{"no token", nil, 401},
		{"another token", map[string]string{"Authorization": "Bearer 0123456789abcdef-tokex"}, 401},
		{"a longer token", map[string]string{"Authorization": auth + "x"}, 401},
		{"an empty token", map[string]string{"Authorization": "Bearer "}, 401},
		{"another scheme", map[string]string{"Authorization": "Basic " + testToken}, 401},
		{"the token", map[string]string{"Authorization": auth}, 200},
		{"the token, in another case of the scheme", map[string]string{"Authorization": "bearer " + testToken}, 200},
		{"its own origin", map[string]string{"Authorization": auth, "Origin": "http://" + host}, 200},
		{"another origin", map[string]string{"Authorization": auth, "Origin": "https://evil.example"}, 403},
		{"another port's origin", map[string]string{"Authorization": auth, "Origin": "http://127.0.0.1:1"}, 403},
		{"a file's origin", map[string]string{"Authorization": auth, "Origin": "null"}, 403},
		{"a name that was bound to us", map[string]string{"Authorization": auth, "Host": "evil.example"}, 403},
		{"and its origin", map[string]string{"Authorization": auth, "Host": "evil.example", "Origin": "http://evil.example"}, 403},
	} {
		if status, _, answer := post(t, url, initialize, tc.header); status != tc.want {
			t.Errorf("%s: %d, not %d: %s", tc.name, status, tc.want, answer)
		}
	}
	if status, _, _ := post(t, strings.TrimSuffix(url, HTTPPath)+"/other", initialize, map[string]string{"Authorization": auth}); status != 404 {
		t.Errorf("another path: %d", status)
	}
	big := bytes.Repeat([]byte("x"), maxMessage+1)
	if status, _, _ := post(t, url, `{"jsonrpc":"2.0","id":1,"method":"`+string(big)+`"}`, map[string]string{"Authorization": auth}); status != 413 {
		t.Errorf("a message of %d bytes: %d", len(big), status)
	}
	for _, body := range []string{"", "{", "[]", `{"jsonrpc":"2.0","id":1,"method":"no/such"}`, "null", `{"id":{}}`} {
		if status, _, _ := post(t, url, body, map[string]string{"Authorization": auth}); status < 400 || status >= 500 {
			t.Errorf("%q: %d", body, status)
		}
	}
}

// TestHTTPOptions: what is refused before anything listens for long.
func TestHTTPOptions(t *testing.T) {
	s, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for addr, o := range map[string]HTTPOptions{
		"0.0.0.0:0":   {},
		"127.0.0.1:0": {Token: "short"},
		"[::1]:0":     {SessionTimeout: -1},
	} {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			t.Logf("%s: %v", addr, err)
			continue
		}
		if err := s.ServeHTTP(t.Context(), l, o); !errors.Is(err, pocketdock.ErrInvalid) {
			t.Errorf("%s %+v: %v", addr, o, err)
		}
		if _, err := l.Accept(); err == nil {
			t.Errorf("%s still listens", addr)
		}
	}
	for i, o := range []Options{{AnswerWithin: 1}, {MaxOutput: 1}, {Timeout: -1}, {MaxSandboxes: -1}, {Image: "a", Profile: "b"},
		{Directories: []Directory{{Path: "/no/such"}}}} {
		if s, err := New(o); err == nil {
			s.Close()
			t.Errorf("options %d were accepted", i)
		}
	}
}

// TestSuiteHTTP: sessions over HTTP, their end by request, by silence and with
// the server.
func TestSuiteHTTP(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, e testEngine) {
		s := serve(t, e, Options{})
		url, stop := listen(t, s, HTTPOptions{Token: testToken, SessionTimeout: 2 * time.Second, MaxSessions: 3})
		a, b := connectHTTP(t, url, bearer(testToken)), connectHTTP(t, url, bearer(testToken))
		var ra, rb ran
		a.do("run_command", args{"command": "echo hello"}, &ra)
		b.do("run_command", args{"command": "sleep 300", "background": true}, &rb)
		if ra.Stdout != "hello\n" || ra.SandboxID == rb.SandboxID {
			t.Fatalf("%+v, %+v", ra, rb)
		}
		a.fails("sandbox_info", args{"sandbox_id": rb.SandboxID}, "no sandbox")

		// A session whose ID is another's needs the token all the same.
		if status, _, _ := post(t, url, `{"jsonrpc":"2.0","id":9,"method":"ping"}`, map[string]string{sessionHeader: a.ID()}); status != 401 {
			t.Errorf("another's session without the token: %d", status)
		}
		auth := map[string]string{"Authorization": "Bearer " + testToken}
		status, third, _ := post(t, url, initialize, auth)
		if status != 200 || third == "" {
			t.Fatalf("a third session: %d", status)
		}
		if status, _, answer := post(t, url, initialize, auth); status != 503 {
			t.Errorf("a fourth session: %d %s", status, answer)
		}
		// The third says no more, and goes; the others have their streams open.
		eventually(t, 30*time.Second, "the silent session has ended", func() bool {
			status, _, _ := post(t, url, `{"jsonrpc":"2.0","id":9,"method":"ping"}`, map[string]string{sessionHeader: third, "Authorization": "Bearer " + testToken})
			if status == 404 {
				return true
			}
			time.Sleep(3 * time.Second) // to ask is to be there
			return false
		})
		b.do("process_read", args{"process_id": rb.ProcessID}, nil)

		// The end of a session does not wait for what it does.
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_, _ = b.CallTool(context.Background(), &sdk.CallToolParams{Name: "run_command", Arguments: args{"command": "touch /tmp/begun; sleep 300"}})
		}()
		box := boxOf(t, e, rb.SandboxID)
		eventually(t, 30*time.Second, "the call is under way", func() bool {
			ok, err := box.Exists(t.Context(), "/tmp/begun")
			return ok && err == nil
		})
		begun := time.Now()
		if status, _, _ := send(t, http.MethodDelete, url, "", map[string]string{sessionHeader: b.ID(), "Authorization": "Bearer " + testToken}); status != 204 {
			t.Errorf("DELETE: %d", status)
		}
		<-ended
		eventually(t, time.Minute, "its sandbox is gone", func() bool { return !slices.Contains(sandboxesOf(t, e), rb.SandboxID) })
		if took := time.Since(begun); took > 30*time.Second {
			t.Errorf("the end of a session took %v", took)
		}
		stop()
		if slices.Contains(sandboxesOf(t, e), ra.SandboxID) {
			t.Error("a sandbox outlived the server")
		}
	})
}
