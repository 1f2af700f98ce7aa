//go:build linux

package agent

import (
	"strings"
	"sync"

	"github.com/pocketdock/pocketdock/internal/wire"
)

// secrets are the part of the environment that is in no configuration. They
// are in memory only: who starts the sandbox again gives them again.
type secrets struct {
	mu    sync.Mutex
	given bool
	env   []string
}

// get is false while secrets are announced and have not come.
func (s *secrets) get(announced bool) (env []string, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.env, s.given || !announced
}

// takeSecrets does OpSecrets.
func (a *agent) takeSecrets(env []string) (*wire.Reply, *wire.Error) {
	for _, e := range env {
		if name, _, ok := strings.Cut(e, "="); !ok || name == "" || strings.ContainsRune(e, 0) {
			return nil, fail(wire.CodeInvalid, "a secret without a name") // and no word of it
		}
	}
	a.secrets.mu.Lock()
	first := !a.secrets.given
	a.secrets.given, a.secrets.env = true, env
	a.secrets.mu.Unlock()
	if first && a.conf.Secrets && len(a.conf.Main) > 0 {
		if err := a.startMain(); err != nil {
			return nil, fail(wire.CodeOther, "%v", err)
		}
	}
	return &wire.Reply{}, nil
}
