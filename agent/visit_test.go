//go:build linux

package agent

import (
	"bytes"
	"encoding/json"
	"io"
	"path/filepath"
	"testing"

	"github.com/pocketdock/pocketdock/internal/wire"
)

// TestVisit: operations are served one after the other, also after one that
// failed; only a visit that was ended in words ended well.
func TestVisit(t *testing.T) {
	dir := t.TempDir()
	ask := func(w *wire.Writer, op, path string) {
		w.JSON(wire.KindRequest, wire.Request{Version: wire.Version, Op: op, File: &wire.File{Path: wire.Path(path)}})
	}
	for _, tt := range []struct {
		name  string
		ask   func(w *wire.Writer)
		kinds string
		well  bool
	}{
		{"looks and is done", func(w *wire.Writer) {
			ask(w, wire.OpStat, filepath.Join(dir, "nosuch"))
			ask(w, wire.OpStat, dir)
			ask(w, wire.OpDone, "")
		}, "FRR", true},
		{"goes away", func(w *wire.Writer) { ask(w, wire.OpStat, dir) }, "R", false},
		{"goes away in an archive", func(w *wire.Writer) {
			ask(w, wire.OpTarIn, dir)
			w.Frame(wire.KindData, make([]byte, 512))
		}, "", false},
		{"sends on after a failure", func(w *wire.Writer) {
			ask(w, wire.OpTarIn, filepath.Join(dir, "nosuch"))
			w.Frame(wire.KindData, make([]byte, 512))
			w.Frame(wire.KindEnd, nil)
			ask(w, wire.OpDone, "")
		}, "F", false},
		{"watches", func(w *wire.Writer) { ask(w, wire.OpWatch, dir) }, "", false},
		{"says nothing", func(*wire.Writer) {}, "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var in, out bytes.Buffer
			tt.ask(wire.NewWriter(&in))
			err := serveVisit(wire.NewReader(&in), wire.NewWriter(struct{ io.Writer }{&out}))
			if (err == nil) != tt.well {
				t.Errorf("%v", err)
			}
			kinds := ""
			for r := wire.NewReader(&out); ; {
				k, _, err := r.Header()
				if err != nil {
					break
				}
				kinds += string(byte(k))
				var any json.RawMessage
				if err := r.JSON(&any); err != nil {
					t.Fatal(err)
				}
			}
			if kinds != tt.kinds {
				t.Errorf("answers %q, want %q", kinds, tt.kinds)
			}
		})
	}
}
