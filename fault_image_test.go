package pocketdock_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pocketdock/pocketdock"
	"github.com/pocketdock/pocketdock/internal/fakeengine"
)

func TestImagesOfFake(t *testing.T) {
	onFakes(t, func(t *testing.T, f *faulty) {
		ctx := t.Context()
		if ok, err := f.client.ImageExists(ctx, "nope:1"); ok || err != nil {
			t.Errorf("%v, %v", ok, err)
		}
		if err := f.client.Tag(ctx, "test:latest", "host:5000/a/b:c"); err != nil || !f.HasImage("host:5000/a/b:c") {
			t.Errorf("tag: %v", err)
		}
		var saved bytes.Buffer
		if err := f.client.SaveImages(ctx, &saved, "test:latest", "host:5000/a/b:c"); err != nil {
			t.Fatal(err)
		}
		if err := f.client.RemoveImage(ctx, "host:5000/a/b:c"); err != nil || f.HasImage("host:5000/a/b:c") {
			t.Errorf("remove: %v", err)
		}
		if err := f.client.LoadImages(ctx, &saved); err != nil || !f.HasImage("host:5000/a/b:c") {
			t.Errorf("load: %v", err)
		}
		for name, err := range map[string]error{
			"tag": f.client.Tag(ctx, "nope:1", "x:1"), "remove": f.client.RemoveImage(ctx, "nope:1"),
			"save": f.client.SaveImages(ctx, io.Discard, "test:latest", "nope:1"),
		} {
			ie, ok := errors.AsType[*pocketdock.ImageError](err)
			if !ok || ie.Image != "nope:1" || !errors.Is(err, pocketdock.ErrImageNotFound) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

// build runs a build and returns its text and its error.
func build(ctx context.Context, c *pocketdock.Client) (text string, err error) {
	for ev, err := range c.Build(ctx, bytes.NewReader(make([]byte, 1024)), pocketdock.BuildOptions{Tag: "built:1"}) {
		if err != nil {
			return text, err
		}
		text += ev.Text
	}
	return text, nil
}

// TestBuildFails: the status said 200 before the engine knew.
func TestBuildFails(t *testing.T) {
	f := newFaulty(t, false)
	progress := `{"stream":"Step 1/2\n"}` + "\r\n"
	for _, tt := range []struct {
		name  string
		fault fakeengine.Fault
		says  string
		lost  bool // the engine's connection broke
	}{
		{"in the stream", fakeengine.Body(200, "application/json", progress+`{"errorDetail":{"message":"The command returned 7"},"error":"x"}`), "returned 7", false},
		{"a web page", fakeengine.Page(200), "invalid character", false},
		{"cut between messages", cut(progress, len(progress)), "", true},
		{"cut in a message", cut(progress+progress, len(progress)+5), "", true},
		{"an error of a megabyte", fakeengine.Body(200, "application/json", progress+`{"error":"`+strings.Repeat("x", 900_000)+`"}`), "xxx", false},
		{"a message without end", fakeengine.Endless(200, "application/json", progress+`{"stream":"`, "x"), "progress message", false},
	} {
		f.Fault("POST /build", tt.fault)
		var text string
		err := promptly(t, tt.name, 2*time.Second, func() (err error) { text, err = build(t.Context(), f.client); return err })
		if !strings.Contains(err.Error(), tt.says) || errors.Is(err, pocketdock.ErrNoEngine) != tt.lost {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.says)
		}
		if tt.name != "a web page" && text != "Step 1/2\n" {
			t.Errorf("%s: the progress before it: %q", tt.name, text)
		}
	}
}

// cut sends the beginning of a text and breaks the connection.
func cut(text string, n int) fakeengine.Fault {
	return func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		fakeengine.Reset(n)(w, r, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, text) }))
	}
}

// TestBuildGivenUp: leaving the loop ends the request.
func TestBuildGivenUp(t *testing.T) {
	f := newFaulty(t, false)
	ended := make(chan struct{})
	f.Fault("POST /build", func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		f.HangAfter(200, "application/json", `{"stream":"a"}`, nil)(w, r, next)
		close(ended)
	})
	for range f.client.Build(t.Context(), strings.NewReader(""), pocketdock.BuildOptions{}) {
		break
	}
	select {
	case <-ended:
	case <-time.After(5 * time.Second):
		t.Error("the engine goes on")
	}
}

// TestCallersReaderAndWriter: a stream of the caller that fails is the
// caller's, not the engine's.
func TestCallersReaderAndWriter(t *testing.T) {
	f := newFaulty(t, false)
	boom := errors.New("boom")
	reader := io.MultiReader(strings.NewReader("x:1\n"), &failingReader{boom})
	for name, err := range map[string]error{
		"save": f.client.SaveImages(t.Context(), failingWriter{boom}, "test:latest"),
		"load": f.client.LoadImages(t.Context(), reader),
	} {
		if !errors.Is(err, boom) || errors.Is(err, pocketdock.ErrNoEngine) {
			t.Errorf("%s: %v, want the caller's error and nothing about the engine", name, err)
		}
	}
}

// TestCallersReaderBlocks: cancelling does not wait for the caller's reader,
// and nobody closes it.
func TestCallersReaderBlocks(t *testing.T) {
	f := newFaulty(t, false)
	arrived := make(chan struct{}, 1)
	f.Fault("POST /images/load", f.Hang(arrived))
	r := &blockingReader{release: make(chan struct{})}
	cancelled(t, "load", time.Second, arrived, func(ctx context.Context) error { return f.client.LoadImages(ctx, r) })
	// Nor does the end of the connection.
	f.Fault("POST /images/load", fakeengine.HangUp)
	err := promptly(t, "load", time.Second, func() error { return f.client.LoadImages(t.Context(), r) })
	if !errors.Is(err, pocketdock.ErrNoEngine) {
		t.Errorf("dropped: %v", err)
	}
	if r.closed {
		t.Error("the caller's reader was closed")
	}
	close(r.release)
}

type blockingReader struct {
	release chan struct{}
	closed  bool
}

func (r *blockingReader) Read([]byte) (int, error) { <-r.release; return 0, io.EOF }
func (r *blockingReader) Close() error             { r.closed = true; return nil }

type failingReader struct{ err error }

func (r *failingReader) Read([]byte) (int, error) { return 0, r.err }

// TestSaveCut: an archive that the engine does not end is not whole.
func TestSaveCut(t *testing.T) {
	f := newFaulty(t, false)
	f.Fault("GET /images/get", cut("some of it", 4))
	var got bytes.Buffer
	err := promptly(t, "save", time.Second, func() error { return f.client.SaveImages(t.Context(), &got, "test:latest") })
	if !errors.Is(err, pocketdock.ErrNoEngine) || got.String() != "some" {
		t.Errorf("%q, %v", got.String(), err)
	}
}

// TestDestroyAsksAgain: an engine that still sees the processes that it has
// killed is asked again, and not for ever.
func TestDestroyAsksAgain(t *testing.T) {
	f := newFaulty(t, true)
	const busy = "cannot remove container made as it could not be stopped: given PIDs did not die within timeout"
	for _, tt := range []struct {
		name    string
		refused int
		removed bool
	}{{"twice", 2, true}, {"always", 1000, false}} {
		box := f.get(t, f.Add(fakeengine.Container{ReadOnly: true}))
		asked := 0
		f.Fault("DELETE /containers/{id}", func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			if asked++; asked <= tt.refused {
				f.Status(500, busy)(w, r, next)
				return
			}
			next.ServeHTTP(w, r)
		})
		err := box.Destroy(t.Context())
		if gone := f.Container(box.Name()) == nil; gone != tt.removed || (err == nil) != tt.removed || asked > 5 {
			t.Errorf("%s: gone %v, asked %d times, %v", tt.name, gone, asked, err)
		}
	}
}

// TestPruneGoesOn: one container that cannot be removed does not keep the
// others.
func TestPruneGoesOn(t *testing.T) {
	f := newFaulty(t, false)
	var want []string
	for i, status := range []string{"exited", "exited", "exited", "running", "created"} {
		r := ofTheDead(f, fmt.Sprint("made", i))
		r.ID = "its own"
		f.made(t, r, status)
		if status == "exited" && i > 0 {
			want = append(want, r.Name)
		}
	}
	first := true
	f.Fault("DELETE /containers/{id}", func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if first {
			first = false
			f.Status(500, "device or resource busy")(w, r, next)
			return
		}
		next.ServeHTTP(w, r)
	})
	removed, err := f.client.Prune(t.Context(), pocketdock.PruneOptions{})
	if len(removed) != len(want) || err == nil || !strings.Contains(err.Error(), "busy") {
		t.Errorf("removed %q, %v", removed, err)
	}
	removed, err = f.client.Prune(t.Context(), pocketdock.PruneOptions{})
	if len(removed) != 1 || err != nil || slices.Contains(want, "") {
		t.Errorf("then removed %q, %v", removed, err)
	}
	if left, err := f.client.List(t.Context(), pocketdock.ListOptions{}); err != nil || len(left) != 2 {
		t.Errorf("left: %+v, %v", left, err)
	}
}
