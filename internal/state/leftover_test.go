package state

import (
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

var anybody = Record{Owner: "12:34:b-o-o-t:56", Machine: "abc", Engine: "/e.sock", Name: "n"}

// TestSteps shows that whatever step a program ends after, what is there says
// whose it is.
func TestSteps(t *testing.T) {
	defer func() { Step = func(string) {} }()
	for _, tt := range []struct {
		step        string
		half, boxes int
		waste       int
	}{{"begin", 0, 0, 0}, {"box", 1, 0, 0}, {"owner", 1, 0, 0}, {"placed", 0, 1, 0}, {"unplaced", 0, 0, 1}} {
		d := dir(t)
		seen := false
		Step = func(step string) {
			if step != tt.step {
				return
			}
			seen = true
			c, err := d.Contents()
			if err != nil || len(c.Half) != tt.half || len(c.Boxes) != tt.boxes || len(c.Waste) != tt.waste {
				t.Errorf("%s: %+v, %v", step, c, err)
			}
			for _, h := range c.Half {
				if h.Owner != anybody.Owner || h.Machine != anybody.Machine {
					t.Errorf("%s: %s reads as %+v", step, h.Path, h)
				}
			}
			for _, b := range c.Boxes {
				if r, err := b.Record(); err != nil || *r != anybody {
					t.Errorf("%s: record %+v, %v", step, r, err)
				}
			}
		}
		b, err := d.NewBox(anybody)
		if err != nil {
			t.Fatal(err)
		}
		if err := b.Remove(); err != nil || !seen {
			t.Errorf("%v; step %s seen: %v", err, tt.step, seen)
		}
		if err := b.Remove(); err != nil {
			t.Errorf("a second time: %v", err)
		}
		if c, err := d.Contents(); err != nil || len(c.Half)+len(c.Boxes)+len(c.Waste) != 0 {
			t.Errorf("left: %+v, %v", c, err)
		}
	}
}

// TestPrepareTogether: of programs that make the same directory, one does.
func TestPrepareTogether(t *testing.T) {
	d := dir(t)
	b, err := d.BoxOf("0123456789abcdef0123456789abcdef")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if err := d.Prepare(b, anybody); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if c, err := d.Contents(); err != nil || len(c.Boxes) != 1 || len(c.Half) != 0 {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestRecord(t *testing.T) {
	b, err := dir(t).NewBox(anybody)
	if err != nil {
		t.Fatal(err)
	}
	if m := mode(t, b.recordFile()); m != 0o600 {
		t.Errorf("mode %o, want 600", m)
	}
	r := anybody
	r.ID, r.Persist, r.Aside = "id", true, &Aside{Name: "a", Owner: "b"}
	if err := b.SetRecord(r); err != nil {
		t.Fatal(err)
	}
	if got, err := b.Record(); err != nil || got.ID != "id" || *got.Aside != *r.Aside {
		t.Errorf("%+v, %v", got, err)
	}
	for _, text := range []string{"", "{", "{}", "null", `{"Owner":1}`} {
		if err := os.WriteFile(b.recordFile(), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := b.Record(); err == nil {
			t.Errorf("%q reads as %+v", text, got)
		}
	}
}

func TestBury(t *testing.T) {
	d := dir(t)
	for range 2 {
		b, err := d.NewBox(anybody)
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Bury(b); err != nil {
			t.Fatal(err)
		}
		if err := d.Bury(b); err == nil {
			t.Error("what is not there is buried")
		}
	}
	c, err := d.Contents()
	if err != nil || len(c.Gone) != 2 || len(c.Boxes)+len(c.Waste) != 0 {
		t.Fatalf("%+v, %v", c, err)
	}
	r, since, err := c.Gone[0].Record()
	if err != nil || *r != anybody || time.Since(since) > time.Minute {
		t.Errorf("%+v, %v, %v", r, since, err)
	}
}

func TestWork(t *testing.T) {
	d := dir(t)
	path, err := d.NewWork(anybody.Owner, anybody.Machine)
	if err != nil {
		t.Fatal(err)
	}
	if m := mode(t, path); m != 0o700 || mode(t, filepath.Dir(path)) != 0o700 {
		t.Errorf("mode %o, want 700", m)
	}
	c, err := d.Contents()
	if err != nil || len(c.Work) != 1 || c.Work[0] != (Half{path, anybody.Owner, anybody.Machine}) {
		t.Errorf("%+v, %v", c, err)
	}
}
