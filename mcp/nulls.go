package mcp

import (
	"bytes"
	"context"
	"encoding/json"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
)

// withoutNulls leaves out arguments of tools that are null: some models give
// every argument that there is, and null for those that they have no use for.
func withoutNulls(next sdk.MethodHandler) sdk.MethodHandler {
	return func(ctx context.Context, method string, req sdk.Request) (sdk.Result, error) {
		if call, ok := req.(*sdk.CallToolRequest); ok && call.Params != nil {
			call.Params.Arguments = dropNulls(call.Params.Arguments)
		}
		return next(ctx, method, req)
	}
}

func dropNulls(args json.RawMessage) json.RawMessage {
	null := []byte("null")
	var all map[string]json.RawMessage
	if !bytes.Contains(args, null) || json.Unmarshal(args, &all) != nil {
		return args
	}
	for name, value := range all {
		if bytes.Equal(value, null) {
			delete(all, name)
		}
	}
	less, err := json.Marshal(all)
	if err != nil {
		return args
	}
	return less
}
