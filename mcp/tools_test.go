package mcp

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/jsonschema-go/jsonschema"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/pocketdock/pocketdock"
)

// toolNames by contract. Those of the host come only with a directory.
const toolNames = "file_edit file_list file_read file_search file_write process_kill process_read process_write run_code run_command sandbox_create sandbox_info sandbox_list sandbox_stop snapshot"

// TestTools: what a client's model sees needs no engine, is described to the
// last field, and small: it is in every conversation.
func TestTools(t *testing.T) {
	list := func(o Options) []*sdk.Tool {
		o.Client = &pocketdock.Client{Socket: "/nonexistent.sock"}
		s, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		c := connect(t, s, nil)
		if in := c.InitializeResult(); in != nil && (in.Instructions == "" || len(in.Instructions) > 1500) {
			t.Errorf("instructions: %q", in.Instructions)
		}
		// What needs the engine says that there is none, and what to do.
		c.fails("run_command", args{"command": "true"}, "/nonexistent.sock", "no such socket")
		res, err := c.ListTools(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		return res.Tools
	}
	if got := names(list(Options{})); got != toolNames {
		t.Errorf("tools: %s", got)
	}
	tools := list(Options{Directories: []Directory{{Path: t.TempDir()}}})
	if got := names(tools); !strings.Contains(got, "download") || !strings.Contains(got, "upload") {
		t.Errorf("tools: %s", got)
	}
	size := 0
	for _, tool := range tools {
		b, err := json.Marshal(sdk.Tool{Name: tool.Name, Description: tool.Description, InputSchema: tool.InputSchema})
		if err != nil {
			t.Fatal(err)
		}
		size += len(b)
		if tool.Title == "" || len(tool.Description) < 25 || tool.Annotations == nil || tool.Annotations.DestructiveHint == nil {
			t.Errorf("%s is not described", tool.Name)
		}
		var in jsonschema.Schema
		b, _ = json.Marshal(tool.InputSchema)
		if err := json.Unmarshal(b, &in); err != nil {
			t.Fatal(err)
		}
		for name, p := range in.Properties {
			if p.Description == "" && name != "code" && name != "ignore_case" && !strings.HasSuffix(name, "process_id") && name != "path" {
				t.Errorf("%s: %s is not described", tool.Name, name)
			}
			if p.Type == "" {
				t.Errorf("%s: %s is of types %v: some clients take one only", tool.Name, name, p.Types)
			}
		}
	}
	t.Logf("%d tools, %d bytes", len(tools), size)
	if size > 16<<10 {
		t.Errorf("the tools take %d bytes of every conversation", size)
	}
}

func names(tools []*sdk.Tool) string {
	var list []string
	for _, t := range tools {
		list = append(list, t.Name)
	}
	return strings.Join(list, " ")
}
