package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/pocketdock/pocketdock"
)

// maxSecret bounds a secret that is read of a file, in bytes.
const maxSecret = 64 << 10

// isVariable tells what can be a variable's name in every shell.
func isVariable(name string) bool {
	rest := strings.TrimLeft(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_")
	return rest != name && strings.Trim(rest, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789") == ""
}

// readSecrets reads --secret options. A value is never one itself: command
// lines are there for every user of the machine to see, and in histories.
func readSecrets(list []string) (map[string]string, error) {
	secrets := map[string]string{}
	for _, s := range list {
		name, from, given := strings.Cut(s, "=")
		file, isFile := strings.CutPrefix(from, "@")
		// What may be a secret is not repeated.
		if !isVariable(name) || given && !isFile {
			return nil, fmt.Errorf("%w: --secret takes the NAME of a variable, or NAME=@FILE, and no value: a command line is there for everybody to see", pocketdock.ErrInvalid)
		}
		var err error
		if isFile {
			secrets[name], err = secretFile(file)
		} else if secrets[name], given = os.LookupEnv(name); !given {
			err = fmt.Errorf("%w: there is no variable of that name in the environment", pocketdock.ErrInvalid)
		}
		if err != nil {
			return nil, fmt.Errorf("--secret %s: %w", name, err)
		}
	}
	return secrets, nil
}

func secretFile(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	if err == nil && len(b) > maxSecret {
		err = fmt.Errorf("%w: %s is larger than %d bytes", pocketdock.ErrInvalid, name, maxSecret)
	}
	return strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r"), err
}
