package project

import (
	"slices"
	"strings"
	"time"
)

// Config is every setting. [Load] fills all of it.
type Config struct {
	// ProjectName is what containers of the project carry. Empty in a file:
	// the name of the project's directory.
	ProjectName string
	// DefaultProfile is the profile of a container that names none.
	DefaultProfile string
	// DefaultPersist makes containers outlive the program that made them.
	DefaultPersist bool
	// Socket of the engine. Empty: found, see [pocketdock.Client].
	Socket string
	// LogLevel of the program: "debug", "info", "warn" or "error".
	LogLevel   string
	Logging    Logging
	Containers Containers
	// Profiles are the user's own: name to the absolute path of a directory
	// with a Dockerfile.
	Profiles map[string]string
}

// Logging says what is kept of the commands of persistent containers. Each
// field's zero is what it says, not the built-in value: take it from [Load]
// or [DefaultLogging].
type Logging struct {
	// AutoLog records every command. False: nothing is recorded.
	AutoLog bool
	// MaxLogSize bounds the log of one command, in bytes, on disk; what comes
	// in the middle of a longer output is left out and counted. It also
	// bounds history.jsonl, of which one older part is kept. 0: no bound.
	MaxLogSize int64
	// MaxLogsPerInstance is how many logs are kept; the oldest go first. 0: all.
	MaxLogsPerInstance int
	// RetentionDays is for how many days logs are kept. 0: for ever.
	RetentionDays int
}

// Containers are settings of new containers.
type Containers struct {
	// IdleTimeout ends a container that nothing used for so long. 0: never.
	IdleTimeout time.Duration
}

// DefaultLogging is the built-in setting.
func DefaultLogging() Logging { return builtin().Logging }

// A kind is how a value is written.
type kind int

const (
	text kind = iota
	flag
	count
	size
	duration
)

// A field is one setting of the schema: the one list that reading, editing,
// the environment and the template of init agree on.
type field struct {
	key     string // "logging.max_log_size"
	kind    kind
	def     string // built-in
	words   []string
	comment string // in the file that init writes, one or more lines
	set     func(c *Config, v value)
}

// env is the variable that overrides the setting.
func (f *field) env() string {
	return "POCKETDOCK_" + strings.ToUpper(strings.ReplaceAll(f.key, ".", "_"))
}

var fields = []field{
	{key: "project_name", kind: text,
		comment: "Name that the project's containers carry. Empty: the directory's.",
		set:     func(c *Config, v value) { c.ProjectName = v.text }},
	{key: "default_profile", kind: text, def: "minimal-python",
		comment: "Profile of a container that names none: minimal-python, minimal-node,\nminimal-bun, dev, agent, embedded, or one of profiles below.",
		set:     func(c *Config, v value) { c.DefaultProfile = v.text }},
	{key: "default_persist", kind: flag, def: "false",
		comment: "Whether containers outlive the program that made them.",
		set:     func(c *Config, v value) { c.DefaultPersist = v.flag }},
	{key: "socket", kind: text,
		comment: "The engine's Unix socket. Empty: found by itself.",
		set:     func(c *Config, v value) { c.Socket = v.text }},
	{key: "log_level", kind: text, def: "warn", words: []string{"debug", "info", "warn", "error"},
		comment: "What pocketdock says about its own work: debug, info, warn or error.",
		set:     func(c *Config, v value) { c.LogLevel = v.text }},
	{key: "logging.auto_log", kind: flag, def: "true",
		comment: "Keep the output of every command of a persistent container.",
		set:     func(c *Config, v value) { c.Logging.AutoLog = v.flag }},
	{key: "logging.max_log_size", kind: size, def: "10MB",
		comment: "Of one command's log; the middle of a longer output is left out. 0: no limit.",
		set:     func(c *Config, v value) { c.Logging.MaxLogSize = v.size }},
	{key: "logging.max_logs_per_instance", kind: count, def: "100",
		comment: "Logs kept for each container. 0: all.",
		set:     func(c *Config, v value) { c.Logging.MaxLogsPerInstance = v.count }},
	{key: "logging.retention_days", kind: count, def: "30",
		comment: "Days for which logs are kept. 0: for ever.",
		set:     func(c *Config, v value) { c.Logging.RetentionDays = v.count }},
	{key: "containers.idle_timeout", kind: duration, def: "0",
		comment: "End a container that nothing used for so long, such as 30m. 0: never.",
		set:     func(c *Config, v value) { c.Containers.IdleTimeout = v.duration }},
}

// profilesKey is the one mapping whose keys are the user's.
const profilesKey = "profiles"

func fieldOf(key string) *field {
	if i := slices.IndexFunc(fields, func(f field) bool { return f.key == key }); i >= 0 {
		return &fields[i]
	}
	return nil
}

// Keys are all settings, "logging.max_log_size" and so on, in the order of
// [Settings.Values]. Profiles are not among them.
func Keys() []string {
	keys := make([]string, len(fields))
	for i := range fields {
		keys[i] = fields[i].key
	}
	return keys
}

// names are the keys that may stand in a mapping: "" is the top.
func names(section string) []string {
	var list []string
	for _, f := range fields {
		head, tail, nested := strings.Cut(f.key, ".")
		switch {
		case section == "" && !slices.Contains(list, head):
			list = append(list, head)
		case nested && head == section:
			list = append(list, tail)
		}
	}
	if section == "" {
		list = append(list, profilesKey)
	}
	return list
}

// builtin is the configuration without any file.
func builtin() Config {
	var c Config
	for i := range fields {
		f := &fields[i]
		v, err := f.parse(f.def)
		if err != nil {
			panic("project: built-in " + f.key + ": " + err.Error())
		}
		f.set(&c, v)
	}
	return c
}

// minLog is the smallest limit of a log, in bytes, that leaves room for its
// first and last lines beside some output.
const minLog = 64 << 10
