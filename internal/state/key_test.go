package state

import (
	"crypto/ed25519"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

func box(t *testing.T) Box {
	t.Helper()
	b, err := dir(t).NewBox(Record{Owner: "1:2:boot:3"})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestKeyIsKept(t *testing.T) {
	b := box(t)
	pub, err := b.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	again, err := b.NewKey()
	if err != nil || !pub.Equal(again) {
		t.Fatalf("the second call made another key (%v)", err)
	}
	key, err := b.Key()
	if err != nil || !pub.Equal(key.Public()) {
		t.Fatalf("the private key is another one's (%v)", err)
	}
	if m := mode(t, b.keyFile()); m != 0o600 {
		t.Errorf("key has mode %o, want 600", m)
	}
}

// TestKeyTogether: two programs that enter a container at once must agree on
// the key, or the agent that one of them starts refuses the other.
func TestKeyTogether(t *testing.T) {
	const rounds, programs = 20, 8
	for range rounds {
		b := box(t)
		pubs := make([]ed25519.PublicKey, programs)
		var wg sync.WaitGroup
		for i := range pubs {
			wg.Go(func() {
				var err error
				if pubs[i], err = b.NewKey(); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		key, err := b.Key()
		if err != nil {
			t.Fatal(err)
		}
		for _, pub := range pubs {
			if !pub.Equal(key.Public()) {
				t.Fatal("a program was told a key that was not kept")
			}
		}
		if m, _ := filepath.Glob(filepath.Join(string(b), "*")); len(m) != 3 { // owner, io and key
			t.Fatalf("left behind: %v", m)
		}
	}
}

func TestDamagedKey(t *testing.T) {
	b := box(t)
	for _, text := range []string{"", "short", string(make([]byte, 33))} {
		if err := os.WriteFile(b.keyFile(), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Key(); err == nil {
			t.Errorf("a key of %d bytes is used", len(text))
		}
	}
	// A new one takes its place.
	if pub, err := b.NewKey(); err != nil {
		t.Error(err)
	} else if key, err := b.Key(); err != nil || !pub.Equal(key.Public()) {
		t.Errorf("after NewKey: %v", err)
	}
}

func TestWriteFileTogether(t *testing.T) {
	b := box(t)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if err := b.WriteFile("f", []byte("whole")); err != nil {
				t.Error(err)
			}
			if data, err := b.ReadFile("f"); err != nil || string(data) != "whole" {
				t.Errorf("read %q, %v", data, err)
			}
		})
	}
	wg.Wait()
}
