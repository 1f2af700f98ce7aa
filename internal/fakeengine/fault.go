package fakeengine

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// Status fails with the engine's kind of error.
func (e *Engine) Status(status int, message string) Fault {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) { e.fail(w, status, message) }
}

// Page fails with a web page, as a proxy does.
func Page(status int) Fault {
	return Body(status, "text/html; charset=utf-8", "<html><head><title>Bad Gateway</title></head><body>"+strings.Repeat("<p>nginx</p>", 20_000)+"</body></html>")
}

// Body answers with a text.
func Body(status int, contentType, text string) Fault {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		io.WriteString(w, text)
	}
}

// Hang answers nothing until the client goes away.
func (e *Engine) Hang(arrived chan<- struct{}) Fault {
	return func(_ http.ResponseWriter, r *http.Request, _ http.Handler) {
		e.hang(r, arrived)
	}
}

// HangAfter sends a header and a text, and then nothing.
func (e *Engine) HangAfter(status int, contentType, text string, arrived chan<- struct{}) Fault {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		Body(status, contentType, text)(w, r, next)
		http.NewResponseController(w).Flush()
		e.hang(r, arrived)
	}
}

func (e *Engine) hang(r *http.Request, arrived chan<- struct{}) {
	go io.Copy(io.Discard, r.Body) // the server notices a client's end only behind the body
	if arrived != nil {
		arrived <- struct{}{}
	}
	select {
	case <-r.Context().Done():
	case <-e.closed:
	}
}

// Reset does what it would, and ends the connection after n bytes of the body.
func Reset(n int) Fault {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		defer http.NewResponseController(w).Flush()
		next.ServeHTTP(&cutter{w, n}, r)
		panic(http.ErrAbortHandler)
	}
}

type cutter struct {
	http.ResponseWriter
	left int
}

func (c *cutter) Write(p []byte) (int, error) {
	if len(p) >= c.left {
		c.ResponseWriter.Write(p[:c.left])
		http.NewResponseController(c.ResponseWriter).Flush()
		panic(http.ErrAbortHandler)
	}
	c.left -= len(p)
	return c.ResponseWriter.Write(p)
}

// Drop does what it would and ends the connection instead of answering.
func Drop(w http.ResponseWriter, r *http.Request, next http.Handler) {
	next.ServeHTTP(&silent{header: http.Header{}}, r)
	panic(http.ErrAbortHandler)
}

// HangUp closes the connection without reading the rest of the request.
func HangUp(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	conn.Close()
}

type silent struct{ header http.Header }

func (s *silent) Header() http.Header         { return s.header }
func (s *silent) Write(p []byte) (int, error) { return len(p), nil }
func (s *silent) WriteHeader(int)             {}

// Endless sends a text again and again until the client goes away, after head.
func Endless(status int, contentType, head, text string) Fault {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		Body(status, contentType, head)(w, r, next)
		text := strings.Repeat(text, 1+(32<<10)/len(text))
		for {
			if _, err := io.WriteString(w, text); err != nil {
				return
			}
		}
	}
}

// Raw upgrades the connection, sends these bytes and closes it.
func Raw(output []byte) Fault {
	return func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		io.Copy(io.Discard, r.Body)
		conn, _ := Upgrade(w, r)
		defer conn.Close()
		conn.Write(output)
	}
}

// JSON answers with a value.
func JSON(v any) Fault {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) { answer(w, http.StatusOK, v) }
}

// After lets n requests pass and has f meet the others.
func After(n int, f Fault) Fault {
	passed := make(chan struct{}, n)
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		select {
		case passed <- struct{}{}:
			next.ServeHTTP(w, r)
		default:
			f(w, r, next)
		}
	}
}

// Text is v as JSON, for faults that send a part of it.
func Text(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprint("fakeengine: ", err))
	}
	return string(b)
}

// Redirect answers with another address.
func Redirect(to string) Fault {
	return func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		http.Redirect(w, r, to, http.StatusFound)
	}
}
