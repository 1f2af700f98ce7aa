//go:build !unix

package pocketdock_test

import "io/fs"

// The suite runs where engines are; elsewhere it only has to build.
func ownerOf(fs.FileInfo) string { return "" }
func onDisk(fs.FileInfo) int64   { return 0 }
