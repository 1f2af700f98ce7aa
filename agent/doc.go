//go:build linux

// Package agent is the process inside a sandbox that does the work: PID 1 of
// the container (or a helper in a container that others made), reached over a
// Unix socket with the protocol of internal/wire. It starts commands, keeps
// their output, kills whole trees, serves files and ports, reaps zombies and
// ends the sandbox at its time limits. docs/agent-protocol.md has the
// exchanges.
//
// The code that runs beside it is hostile. It may be root, may write to the
// directory that the agent keeps its records in, may send signals, exhaust
// processes, memory and disk. The agent has to go on answering.
//
// # Records and logs
//
// Beside the socket lie the records of processes that were started with a log
// (Detach, Keep, SoftMS or LogLimit): ID.json describes the process, ID.out
// and ID.err hold the last LogLimit bytes of its output. They survive a stop
// of the container; a process that ran then reads back as Lost.
//
// A run whose client waits for it and that is short, 10 ms or a little more
// with at most 16 kB in each stream, is written at its end only, to a file that
// such runs share (journal.go has its format): three files took longer than
// the run. Nothing is known of one during which the agent is killed.
//
// What is kept of ended processes: at most 256 records and 256 MiB of logs.
// Beyond either, the process that ended first is forgotten first, but never
// the one that ended last. A process without a log is forgotten when it ends.
package agent
