//go:build !unix

package project

import "io/fs"

func sameDevice(string, string) bool { return true }

func foreignOwner(fs.FileInfo) (uint32, bool) { return 0, false }
