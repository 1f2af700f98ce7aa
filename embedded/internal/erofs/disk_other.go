//go:build !linux

package erofs

func punch(interface{ Fd() uintptr }, int64, int64) {}

func writeBack(interface{ Fd() uintptr }, int64, int64) {}
