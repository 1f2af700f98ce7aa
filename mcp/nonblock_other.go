//go:build !unix

package mcp

const nonblock = 0
