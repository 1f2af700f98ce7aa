//go:build unix

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
)

// mcpCall is a client in one line, for scripts: it calls a tool and prints the
// text of the answer; code 1 is for isError, 2 for everything else that fails.
//
//	mcpcall TOOL JSON COMMAND [ARG...]
//	mcpcall TOOL JSON http://ADDRESS/mcp
//
// Over HTTP it presents the token in MCP_TOKEN.
func mcpCall() {
	res, err := mcpCallTool(context.Background(), os.Args[1], os.Args[2], os.Args[3:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "mcpcall:", err)
		os.Exit(2)
	}
	for _, c := range res.Content {
		if text, ok := c.(*sdk.TextContent); ok {
			fmt.Println(text.Text)
		}
	}
	if res.IsError {
		os.Exit(1)
	}
}

func mcpCallTool(ctx context.Context, tool, args string, server []string) (*sdk.CallToolResult, error) {
	var t sdk.Transport
	if strings.HasPrefix(server[0], "http://") {
		t = &sdk.StreamableClientTransport{Endpoint: server[0], HTTPClient: &http.Client{Transport: withToken(os.Getenv("MCP_TOKEN"))}}
	} else {
		cmd := exec.Command(server[0], server[1:]...)
		cmd.Stderr = os.Stderr
		t = &sdk.CommandTransport{Command: cmd}
	}
	cs, err := sdk.NewClient(&sdk.Implementation{Name: "mcpcall", Version: "1"}, nil).Connect(ctx, t, nil)
	if err != nil {
		return nil, err
	}
	defer cs.Close()
	return cs.CallTool(ctx, &sdk.CallToolParams{Name: tool, Arguments: json.RawMessage(args)})
}

type withToken string

func (w withToken) RoundTrip(r *http.Request) (*http.Response, error) {
	if w != "" {
		r = r.Clone(r.Context())
		r.Header.Set("Authorization", "Bearer "+string(w))
	}
	return http.DefaultTransport.RoundTrip(r)
}
