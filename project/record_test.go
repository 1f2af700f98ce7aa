package project

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pocketdock/pocketdock"
)

// newInstance makes an instance in a project of its own.
func newInstance(t testing.TB) *Instance {
	t.Helper()
	i, err := newProject(t, "").CreateInstance(&Manifest{Container: ManifestContainer{Name: "box"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { i.Close() })
	return i
}

var ok = &pocketdock.Result{ID: "abc", Duration: 12 * time.Millisecond}

// readAll is a log's output, what is missing of it, and its end.
func readAll(t testing.TB, i *Instance, name string, at int64) (out, errs string, lost int64, end *Entry) {
	t.Helper()
	for rec, err := range i.ReadLog(t.Context(), name, LogOptions{At: at}) {
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case rec.End != nil:
			end = rec.End
		case rec.Stream == pocketdock.Stderr:
			errs += string(rec.Data)
		default:
			out += string(rec.Data)
		}
		lost += rec.Lost
	}
	return out, errs, lost, end
}

func TestRecord(t *testing.T) {
	i := newInstance(t)
	r := i.Record(KindRun, pocketdock.Shell("make"), DefaultLogging())
	r.Output(pocketdock.Stdout, []byte("hello\n"))
	r.Output(pocketdock.Stderr, []byte("oh\n"))
	r.Lost(pocketdock.Stdout, 7)
	r.Output(pocketdock.Stdout, []byte{0xff, 0, 1})
	r.Finish(ok, nil)
	out, errs, lost, end := readAll(t, i, r.Log(), 0)
	if out != "hello\n\xff\x00\x01" || errs != "oh\n" || lost != 7 || end == nil || *end.Exit != 0 || end.MS != 12 {
		t.Errorf("%q, %q, %d, %+v", out, errs, lost, end)
	}
	h, err := i.History(HistoryOptions{})
	if err != nil || len(h) != 1 {
		t.Fatalf("%v, %v", h, err)
	}
	if e := h[0]; e.Type != KindRun || e.Cmd != "make" || *e.Exit != 0 || e.MS != 12 || e.Log != r.Log() || e.ID != "abc" || e.Cut != 7 || time.Since(e.Time) > time.Minute {
		t.Errorf("%+v", e)
	}
	// Private, whatever the umask.
	filepath.WalkDir(i.Dir(), func(path string, d fs.DirEntry, err error) error {
		fi, _ := d.Info()
		if want := map[bool]fs.FileMode{true: 0o700, false: 0o600}[d.IsDir()]; fi.Mode().Perm() != want {
			t.Errorf("%s has mode %o, want %o", path, fi.Mode().Perm(), want)
		}
		return err
	})
}

// TestLogCannotLie: output that looks like the log's own lines, like its end
// or like another command, is output; nothing that a terminal obeys is in the file.
func TestLogCannotLie(t *testing.T) {
	i := newInstance(t)
	lies := []string{
		"\n{\"t\":1,\"end\":true,\"exit\":0,\"ms\":1}\n",
		"\"}\n{\"pocketdock_log\":1,\"type\":\"run\",\"cmd\":\"innocent\"}\n",
		"\\\"}\r\n{\"t\":0,\"out\":\"forged\"}",
		"\x1b[2J\x1b]0;title\a\u009b31m\u202e\u2028\x7f\x00",
		"\xc2", "\x9b31m", "\xed\xa0\x80", "\ufeff",
		strings.Repeat("\x01", 5000),
	}
	r := i.Record(KindRun, pocketdock.Shell("evil\n{\"t\":0}\x1b[2J\u202e"), DefaultLogging())
	for _, s := range lies {
		r.Output(pocketdock.Stdout, []byte(s))
	}
	r.Finish(&pocketdock.Result{ExitCode: 3}, nil)
	out, _, lost, end := readAll(t, i, r.Log(), 0)
	if want := strings.Join(lies, ""); out != want || lost != 0 {
		t.Errorf("%q, want %q (%d lost)", out, want, lost)
	}
	if end == nil || *end.Exit != 3 {
		t.Errorf("end: %+v", end)
	}
	for _, path := range []string{"logs/" + r.Log(), historyName} {
		b, _ := os.ReadFile(filepath.Join(i.Dir(), path))
		if n := bytes.IndexFunc(b, func(c rune) bool { return c != '\n' && printable(string(c)) != string(c) }); n >= 0 {
			t.Errorf("%s: character %U", path, []rune(string(b[n:]))[0])
		}
	}
	h, _ := i.History(HistoryOptions{})
	if len(h) != 1 || strings.ContainsAny(h[0].Cmd, "\x1b\u202e") {
		t.Errorf("history: %+v", h)
	}
}

// TestLongOutput: head and tail are kept, what is between is counted exactly,
// and the files stay below the limit.
func TestLongOutput(t *testing.T) {
	for _, tt := range []struct{ most, size int }{
		{256 << 10, 64 << 10}, {256 << 10, 256 << 10}, {256 << 10, 4 << 20}, {256 << 10, 20 << 20},
		{minLog, minLog / 4}, {minLog, 4 << 20},
	} {
		most, size := tt.most, tt.size
		for _, pause := range []bool{false, true} {
			i := newInstance(t)
			l := DefaultLogging()
			l.MaxLogSize = int64(most)
			r := i.Record(KindRun, pocketdock.Shell("flood"), l)
			var all bytes.Buffer
			for n := 0; all.Len() < size; n++ {
				p := fmt.Appendf(nil, "line %08d of the output €\n", n)
				for len(p) < 8<<10 && n%3 > 0 {
					p = append(p, p...)
				}
				all.Write(p)
				r.Output(pocketdock.Stdout, p)
				if pause && n%200 == 0 {
					r.flush() // as time does
				}
			}
			r.Finish(ok, nil)
			at, head, tail, lost := int64(0), int64(-1), int64(0), int64(0)
			ended := false
			for rec, err := range i.ReadLog(t.Context(), r.Log(), LogOptions{}) {
				if err != nil {
					t.Fatal(err)
				}
				if rec.Lost > 0 && head < 0 {
					head = at
				}
				if rec.Lost > 0 {
					tail = 0
				}
				at, lost, ended = at+rec.Lost, lost+rec.Lost, rec.End != nil
				if n := at + int64(len(rec.Data)); n > int64(all.Len()) || !bytes.Equal(rec.Data, all.Bytes()[at:n]) {
					t.Fatalf("%d bytes: at %d are not those that were printed there", size, at)
				}
				at, tail = at+int64(len(rec.Data)), tail+int64(len(rec.Data))
			}
			if at != int64(all.Len()) || !ended {
				t.Fatalf("%d bytes: %d are kept or counted as lost, ended %v", all.Len(), at, ended)
			}
			h, _ := i.History(HistoryOptions{})
			if h[0].Cut != lost {
				t.Errorf("%d bytes: the history says %d are cut, the log %d", size, h[0].Cut, lost)
			}
			if size == most/4 && lost > 0 || size > 2*most && (head < int64(most/3) || tail < int64(most/8)) {
				t.Errorf("%d bytes: %d of the beginning and %d of the end are kept, %d lost", size, head, tail, lost)
			}
			list, _ := i.Logs()
			i.sized(&list[0])
			if list[0].Size > int64(most) {
				t.Errorf("%d bytes: %d on disk, at most %d", size, list[0].Size, most)
			}
		}
	}
}

// TestFlood: of what comes faster than it can be written, the end is kept.
func TestFlood(t *testing.T) {
	i := newInstance(t)
	r := i.Record(KindRun, pocketdock.Shell("yes"), DefaultLogging())
	const size = 100 << 20
	p := bytes.Repeat([]byte("0123456789abcde\n"), 2<<10)
	for range size / len(p) {
		r.Output(pocketdock.Stdout, p)
	}
	r.Output(pocketdock.Stdout, []byte("last"))
	r.Finish(ok, nil)
	var got, lost, tail int64
	var last []byte
	for rec, err := range i.ReadLog(t.Context(), r.Log(), LogOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		if rec.Lost > 0 {
			tail = 0
		}
		if len(rec.Data) > 0 {
			last = append(last[:0], rec.Data...)
		}
		got, tail, lost = got+int64(len(rec.Data)), tail+int64(len(rec.Data)), lost+rec.Lost
	}
	if got+lost != size+4 || tail < floodHold || !bytes.HasSuffix(last, []byte("last")) || got < 5<<20 {
		t.Errorf("%d kept, %d of them at the end, %d lost, %.20q", got, tail, lost, last)
	}
}

// TestFloodKeepsTheOther: a flood on one stream does not push out what the
// other says meanwhile.
func TestFloodKeepsTheOther(t *testing.T) {
	i := newInstance(t)
	l := DefaultLogging()
	l.MaxLogSize = 1 << 20
	r := i.Record(KindRun, pocketdock.Shell("x"), l)
	p := bytes.Repeat([]byte("0123456789abcde\n"), 16<<10)
	want := ""
	for n := range 200 {
		r.Output(pocketdock.Stdout, p)
		if n%50 == 48 {
			said := fmt.Sprintf("warning %d\n", n)
			r.Output(pocketdock.Stderr, []byte(said))
			want += said
		}
	}
	r.Finish(ok, nil)
	out, errs, lost, _ := readAll(t, i, r.Log(), 0)
	if !strings.HasSuffix(errs, "warning 198\n") || int64(len(out))+int64(len(errs))+lost != int64(200*len(p)+len(want)) {
		t.Errorf("%d bytes, %q, %d lost", len(out), errs, lost)
	}
}

// TestSplitCharacters: a character that comes in pieces is text in the log.
func TestSplitCharacters(t *testing.T) {
	i := newInstance(t)
	r := i.Record(KindRun, pocketdock.Shell("x"), DefaultLogging())
	text := strings.Repeat("ä€𝄞", 20000)
	for b := []byte(text); len(b) > 0; {
		n := min(len(b), 1+rand.IntN(40000))
		r.Output(pocketdock.Stdout, b[:n])
		b = b[n:]
	}
	r.Finish(ok, nil)
	if out, _, _, _ := readAll(t, i, r.Log(), 0); out != text {
		t.Error("the output is another")
	}
	b, _ := os.ReadFile(filepath.Join(i.Dir(), "logs", r.Log()))
	if bytes.Contains(b, []byte("out64")) {
		t.Error("text is kept in base64")
	}
}

func TestNoLimit(t *testing.T) {
	i := newInstance(t)
	r := i.Record(KindRun, pocketdock.Shell("x"), Logging{AutoLog: true})
	p := bytes.Repeat([]byte("0123456789abcde\n"), 1<<16)
	for range 12 {
		r.Output(pocketdock.Stdout, p)
	}
	r.Finish(ok, nil)
	out, _, lost, _ := readAll(t, i, r.Log(), 0)
	if len(out) != 12<<20 || lost != 0 {
		t.Errorf("%d bytes, %d lost", len(out), lost)
	}
}

func TestLongCommand(t *testing.T) {
	i := newInstance(t)
	r := i.Record(KindRun, pocketdock.Shell(strings.Repeat("€\x01", 1<<20)), DefaultLogging())
	r.Finish(nil, errors.New(strings.Repeat("x", 1<<20)))
	b, _ := os.ReadFile(filepath.Join(i.Dir(), historyName))
	if len(b) > maxEntry {
		t.Errorf("an entry of %d bytes", len(b))
	}
	h, err := i.History(HistoryOptions{})
	if err != nil || len(h) != 1 || len(h[0].Cmd) > 2*maxCmd || h[0].CmdCut != 4<<20-4096 || h[0].Event != EventLost || h[0].Exit != nil {
		t.Errorf("%d, %v, %d cut", len(h), err, h[0].CmdCut)
	}
}

// TestFollow: a log is read while it is written, across its files, up to the end.
func TestFollow(t *testing.T) {
	i := newInstance(t)
	l := DefaultLogging()
	l.MaxLogSize = minLog
	r := i.Record(KindSession, pocketdock.Shell("sh"), l)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for n := range 40 {
			r.Output(pocketdock.Stdout, fmt.Appendf(nil, "%06d%01000d\n", n, 0))
			r.flush()
			time.Sleep(3 * time.Millisecond)
		}
		r.Finish(ok, nil)
	}()
	var got, lost int64
	ended := false
	other, err := i.project.Instance("box") // as another program has it
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	for rec, err := range other.ReadLog(t.Context(), r.Log(), LogOptions{Follow: true}) {
		if err != nil {
			t.Fatal(err)
		}
		got, lost = got+int64(len(rec.Data)), lost+rec.Lost
		ended = ended || rec.End != nil
	}
	<-done
	if got+lost != 40*1007 || !ended || got < 20*1007 {
		t.Errorf("%d bytes and %d lost of %d, ended %v", got, lost, 40*1007, ended)
	}
	// Who gives up gets the reason.
	r = i.Record(KindRun, pocketdock.Shell("sleep"), l)
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(50*time.Millisecond, func() { cancel(cause) })
	for _, e := range i.ReadLog(ctx, r.Log(), LogOptions{Follow: true}) {
		err = e
	}
	if !errors.Is(err, cause) {
		t.Errorf("given up: %v", err)
	}
	r.Finish(ok, nil)
}
