package main

import (
	"fmt"
	"net/netip"
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
