package pocketdock

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"

	"github.com/pocketdock/pocketdock/internal/state"
	"github.com/pocketdock/pocketdock/internal/wire"
)

// secretsFile keeps a container's secrets in its directory, mode 0600.
const secretsFile = "secrets.json"

func keepSecrets(box state.Box, secrets map[string]string) error {
	if len(secrets) == 0 {
		return nil
	}
	b, err := json.Marshal(secrets)
	if err != nil {
		return err
	}
	return box.WriteFile(secretsFile, b)
}

// readSecrets returns nil where there are none.
func readSecrets(box state.Box) (map[string]string, error) {
	b, err := box.ReadFile(secretsFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var secrets map[string]string
	return secrets, json.Unmarshal(b, &secrets)
}

// giveSecrets tells a started agent the container's secrets, without which it
// starts no command.
func (a *agentExec) giveSecrets(ctx context.Context) error {
	secrets, err := readSecrets(a.c.box)
	if err != nil {
		return fmt.Errorf("container %s: its secrets cannot be read: %w", a.c.name, err)
	}
	if len(secrets) == 0 {
		return nil
	}
	_, err = a.call(ctx, &wire.Request{Op: wire.OpSecrets, Secrets: envList(secrets)})
	return a.c.wireError("give secrets", "", err)
}
