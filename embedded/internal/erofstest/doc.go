//go:build !linux

// Package erofstest reads EROFS images in tests, by gVisor's own reader, which
// is for Linux.
package erofstest
