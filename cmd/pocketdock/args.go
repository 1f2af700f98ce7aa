package main

import (
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pocketdock/pocketdock"
)

// noArgs refuses arguments, as a usage error.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usageError{cmd, fmt.Errorf("%q: %s takes no argument", args[0], cmd.CommandPath())}
	}
	return nil
}

// exactly takes one argument for each of the names.
func exactly(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < len(names):
			return usageError{cmd, fmt.Errorf("%s is missing", names[len(args)])}
		case len(args) > len(names):
			return usageError{cmd, fmt.Errorf("%q is one argument too many", args[len(names)])}
		}
		return nil
	}
}

// transfer takes CONTAINER, SRC and DEST, and says how push and pull are written
// to whom has them as cp of other container tools takes them.
func transfer(cmd *cobra.Command, args []string) error {
	if line := transferLine(args); line != "" {
		return usageError{cmd, fmt.Errorf("CONTAINER, SRC and DEST are words of their own: %s", line)}
	}
	if len(args) == 3 && strings.ContainsAny(args[0], `/\`) {
		return usageError{cmd, fmt.Errorf("%q: CONTAINER comes first, then SRC and DEST", args[0])}
	}
	return exactly("CONTAINER", "SRC", "DEST")(cmd, args)
}

// withID takes CONTAINER and ID, or more IDs, and says where IDs are.
func withID(next cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == 1 {
			return usageError{cmd, fmt.Errorf("ID is missing behind CONTAINER %s; see the IDs with: pocketdock ps %s", args[0], args[0])}
		}
		return next(cmd, args)
	}
}

// atLeast takes one argument for each of the names, and more like the last.
func atLeast(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < len(names) {
			return usageError{cmd, fmt.Errorf("%s is missing", names[len(args)])}
		}
		return nil
	}
}

// pairs reads NAME=VALUE options.
func pairs(flag string, list []string) (map[string]string, error) {
	m := map[string]string{}
	for _, kv := range list {
		k, v, ok := strings.Cut(kv, "=")
		if !ok || k == "" {
			return nil, fmt.Errorf("%w: --%s %q: write NAME=VALUE", pocketdock.ErrInvalid, flag, kv)
		}
		m[k] = v
	}
	return m, nil
}

// variables reads --env options: NAME=VALUE, or NAME with the value that it has
// in this environment.
func variables(list []string) (map[string]string, error) {
	var full []string
	for _, s := range list {
		if s != "" && !strings.Contains(s, "=") {
			v, ok := os.LookupEnv(s)
			if !ok {
				return nil, fmt.Errorf("%w: --env %s: there is no variable of that name in the environment; write NAME=VALUE", pocketdock.ErrInvalid, s)
			}
			s += "=" + v
		}
		full = append(full, s)
	}
	return pairs("env", full)
}

// parseMemory reads a limit of memory: 0 for the default, -1 for none.
func parseMemory(s string) (int64, error) {
	switch s {
	case "":
		return 0, nil
	case "none":
		return -1, nil
	}
	n, err := pocketdock.ParseSize(s)
	if err != nil {
		return 0, fmt.Errorf("--mem-limit: %w", err)
	}
	if n > 0 && n < 6<<20 && strings.Trim(s, "0123456789") == "" {
		return 0, fmt.Errorf("%w: --mem-limit %s: so many bytes; write %sm for MiB", pocketdock.ErrInvalid, s, s)
	}
	return n, nil
}

// parsePort reads [ADDRESS:][HOST:]CONTAINER[/udp]. An IPv6 address is in
// brackets, and HOST may be empty: any that is free.
func parsePort(s string) (pocketdock.Port, error) {
	wrong := fmt.Errorf("%w: --port %q: write HOST:CONTAINER, such as 8080:80, 127.0.0.1::80 or 53:53/udp", pocketdock.ErrInvalid, s)
	rest, proto, _ := strings.Cut(s, "/")
	p := pocketdock.Port{Protocol: proto}
	if strings.HasPrefix(rest, "[") {
		addr, after, ok := strings.Cut(rest[1:], "]:")
		if !ok {
			return p, wrong
		}
		p.Address, rest = addr, after
	} else if strings.Count(rest, ":") == 2 {
		p.Address, rest, _ = strings.Cut(rest, ":")
	}
	if p.Address != "" {
		if _, err := netip.ParseAddr(p.Address); err != nil {
			return p, wrong
		}
	}
	host, inner, both := strings.Cut(rest, ":")
	if !both {
		host, inner = "", rest
	}
	var err error
	if p.Container, err = strconv.Atoi(inner); err != nil {
		return p, wrong
	}
	if host != "" {
		if p.Host, err = strconv.Atoi(host); err != nil {
			return p, wrong
		}
	}
	return p, nil
}

// parseVolume reads HOST:CONTAINER[:ro].
func parseVolume(s string) (pocketdock.Volume, error) {
	rest, mode := s, "rw"
	if r, ok := strings.CutSuffix(s, ":ro"); ok {
		rest, mode = r, "ro"
	} else if r, ok := strings.CutSuffix(s, ":rw"); ok {
		rest = r
	}
	// The container's path begins with a slash; a host's may contain colons.
	i := strings.LastIndex(rest, ":/")
	if i <= 0 {
		return pocketdock.Volume{}, fmt.Errorf("%w: --volume %q: write HOST:CONTAINER or HOST:CONTAINER:ro", pocketdock.ErrInvalid, s)
	}
	return pocketdock.Volume{Host: rest[:i], Container: rest[i+1:], ReadOnly: mode == "ro"}, nil
}

// parseTmpfs reads PATH[:SIZE].
func parseTmpfs(list []string) (map[string]int64, error) {
	m := map[string]int64{}
	for _, s := range list {
		path, size, sized := strings.Cut(s, ":")
		m[path] = 0
		if sized {
			n, err := pocketdock.ParseSize(size)
			if err != nil {
				return nil, fmt.Errorf("--tmpfs %q: %w", s, err)
			}
			m[path] = n
		}
	}
	return m, nil
}
