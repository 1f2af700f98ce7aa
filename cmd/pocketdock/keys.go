package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pocketdock/pocketdock"
)

// detachKeys are the bytes that leave a terminal when they are typed.
type detachKeys []byte

const defaultDetachKeys = "ctrl-p,ctrl-q"

// parseDetachKeys reads keys as container tools have them: letters, and
// "ctrl-" with a letter or one of @[\]^_, with commas between. Empty: none.
func parseDetachKeys(s string) (detachKeys, error) {
	if s == "" {
		return nil, nil
	}
	var keys detachKeys
	for key := range strings.SplitSeq(s, ",") {
		name, ctrl := strings.CutPrefix(strings.ToLower(key), "ctrl-")
		switch {
		case ctrl && len(name) == 1 && (name[0] >= '@' && name[0] <= '_' || name[0] >= 'a' && name[0] <= 'z'):
			keys = append(keys, name[0]&0x1f)
		case !ctrl && len(key) == 1 && key[0] > ' ' && key[0] < 0x7f:
			keys = append(keys, key[0])
		default:
			return nil, fmt.Errorf("%w: --detach-keys %q: write keys such as a or ctrl-p with commas between, or nothing for none", pocketdock.ErrInvalid, s)
		}
	}
	return keys, nil
}

// A keyScanner finds the detach keys in what is typed. Their beginning is held
// back until it shows whether the rest comes, or until it is released.
type keyScanner struct {
	keys detachKeys
	held int // of the keys that came already
	sent int // of those, how many were released
}

// next returns what of p, and of what was held back, goes on to the command,
// and whether the keys are complete; what follows them is dropped.
func (k *keyScanner) next(p []byte) (out []byte, detach bool) {
	if len(k.keys) == 0 {
		return p, false
	}
	for _, b := range p {
		for k.held > 0 && b != k.keys[k.held] {
			// The longest end of what is held that is a beginning, too.
			n := k.held - 1
			for n > 0 && !slices.Equal(k.keys[k.held-n:k.held], k.keys[:n]) {
				n--
			}
			lost := k.held - n
			out = append(out, k.keys[min(k.sent, lost):lost]...)
			k.held, k.sent = n, max(0, k.sent-lost)
		}
		if b != k.keys[k.held] {
			out = append(out, b)
			continue
		}
		if k.held++; k.held == len(k.keys) {
			k.forget()
			return out, true
		}
	}
	return out, false
}

func (k *keyScanner) holds() bool { return k.held > 0 }

// release no longer holds back what came, which goes on to the command; the
// rest, if it comes, still completes the keys.
func (k *keyScanner) release() []byte {
	held := k.keys[k.sent:k.held]
	k.sent = k.held
	return held
}

// forget gives up waiting for the rest.
func (k *keyScanner) forget() { k.held, k.sent = 0, 0 }
