package main

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pocketdock/pocketdock"
)

type portJSON struct {
	Container int    `json:"container" help:"port inside"`
	Host      int    `json:"host" help:"port of this machine"`
	Address   string `json:"address" help:"of this machine"`
	Protocol  string `json:"protocol" help:"tcp or udp"`
}

type volumeJSON struct {
	Host      string `json:"host" help:"path on this machine"`
	Container string `json:"container" help:"path inside"`
	ReadOnly  bool   `json:"read_only" help:""`
}

type infoJSON struct {
	ID              string            `json:"id" help:"64 hexadecimal digits"`
	Name            string            `json:"name" help:"of the container"`
	Image           string            `json:"image" help:"as named at creation"`
	ImageID         string            `json:"image_id" help:""`
	Status          string            `json:"status" help:"running, exited, created, paused"`
	Running         bool              `json:"running" help:""`
	Created         *time.Time        `json:"created" help:"RFC 3339"`
	Started         *time.Time        `json:"started" help:"RFC 3339; null if it never ran"`
	UptimeSeconds   float64           `json:"uptime_seconds" help:"0 unless it runs"`
	Health          string            `json:"health" help:"of the image's health check"`
	ExitCode        int               `json:"exit_code" help:"of a stopped container"`
	OOMKilled       bool              `json:"oom_killed" help:"it used more memory than it may"`
	Memory          int64             `json:"memory" help:"bytes in use; -1: not known"`
	MemoryLimit     int64             `json:"memory_limit" help:"bytes; 0: none"`
	MemoryPercent   float64           `json:"memory_percent" help:"of the limit"`
	CPUSeconds      float64           `json:"cpu_seconds" help:"processor time used; -1: not known"`
	CPUPercent      float64           `json:"cpu_percent" help:"average since the start, 100 is one core"`
	PIDs            int64             `json:"pids" help:"processes and threads; -1: not known"`
	PIDsLimit       int64             `json:"pids_limit" help:"0: none"`
	Network         bool              `json:"network" help:"it has more than loopback"`
	IP              string            `json:"ip" help:"on the engine's network"`
	Ports           []portJSON        `json:"ports" help:"published, an array of"`
	Volumes         []volumeJSON      `json:"volumes" help:"an array of"`
	User            string            `json:"user" help:"that commands run as"`
	ReadOnly        bool              `json:"read_only" help:"its root is"`
	Runtime         string            `json:"runtime" help:"OCI runtime"`
	ExecPath        string            `json:"exec_path" help:"how commands get in: socket, bridge, resident, engine"`
	Processes       int               `json:"processes" help:"that pocketdock runs in it"`
	ExactKill       bool              `json:"exact_kill" help:"a kill reaches every descendant of a command"`
	NoNewPrivileges bool              `json:"no_new_privileges" help:""`
	Capabilities    []string          `json:"capabilities" help:"of its first process; commands have none"`
	Project         string            `json:"project" help:"empty: none"`
	Persist         bool              `json:"persist" help:"it is meant to last"`
	Labels          map[string]string `json:"labels" help:"an object"`
	TTLSeconds      *float64          `json:"ttl_seconds" help:"until it ends; null: no limit"`
	IdleSeconds     *float64          `json:"idle_seconds" help:"until it ends if it stays idle; null: no limit"`
}

func (a *app) infoCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "info CONTAINER",
		Short: "Show a sandbox's state, use and limits",
		Long: `Shows what the engine, the kernel and the agent say about a sandbox now: state,
use of memory and processor, limits as they are really applied, network, ports,
and what it may do.`,
		Example: `  pocketdock info web
  pocketdock info --json web | jq .memory`,
		Args:              exactly("CONTAINER"),
		ValidArgsFunction: a.boxes(false, nil),
		RunE:              func(cmd *cobra.Command, args []string) error { return a.info(cmd.Context(), args[0]) },
	}
	a.takesJSON(cmd, infoJSON{}, false)
	return cmd
}

func (a *app) info(ctx context.Context, name string) error {
	box, err := a.client.Get(ctx, name)
	if err != nil {
		return err
	}
	i, err := box.Info(ctx)
	switch {
	case err != nil:
		return err
	case a.json:
		return a.out.printJSON(infoOf(i))
	case a.quiet:
		_, err := fmt.Fprintln(a.out, i.ID)
		return err
	}
	return a.out.printFacts(a.infoFacts(i))
}

func infoOf(i *pocketdock.Info) infoJSON {
	j := infoJSON{ID: i.ID, Name: i.Name, Image: i.Image, ImageID: i.ImageID, Status: i.Status, Running: i.Running,
		Created: moment(i.Created), Started: moment(i.Started), UptimeSeconds: seconds(i.Uptime), Health: i.Health,
		ExitCode: i.ExitCode, OOMKilled: i.OOMKilled, Memory: i.Memory, MemoryLimit: i.MemoryLimit,
		MemoryPercent: i.MemoryPercent, CPUSeconds: -1, CPUPercent: i.CPUPercent, PIDs: i.PIDs, PIDsLimit: i.PIDsLimit,
		Network: i.Network, IP: i.IP, Ports: []portJSON{}, Volumes: []volumeJSON{}, User: i.User, ReadOnly: i.ReadOnly,
		Runtime: i.Runtime, ExecPath: i.ExecPath, Processes: i.Processes, ExactKill: i.ExactKill,
		NoNewPrivileges: i.NoNewPrivileges, Capabilities: append([]string{}, i.Capabilities...), Project: i.Project,
		Persist: i.Persist, Labels: i.Labels, TTLSeconds: left(i.TTLLeft), IdleSeconds: left(i.IdleLeft)}
	if i.CPUTime >= 0 {
		j.CPUSeconds = seconds(i.CPUTime)
	}
	for _, p := range i.Ports {
		j.Ports = append(j.Ports, portJSON(p))
	}
	for _, v := range i.Volumes {
		j.Volumes = append(j.Volumes, volumeJSON(v))
	}
	return j
}

// left is a time limit in JSON; nil for none.
func left(d time.Duration) *float64 {
	if d < 0 {
		return nil
	}
	s := seconds(d)
	return &s
}

// infoFacts is a sandbox at a glance, what matters most first.
func (a *app) infoFacts(i *pocketdock.Info) []fact {
	state := cell{i.Status, statusPaint(i.Status)}
	switch {
	case i.Running:
		state.text += " for " + span(i.Uptime) + ", " + plural(i.Processes, "command")
	case i.OOMKilled:
		state = cell{state.text + ", killed for using more memory than it may", bad}
	case i.Status == "exited":
		state.text += fmt.Sprintf(" with code %d", i.ExitCode)
	}
	if i.Health != "" {
		state.text += ", " + i.Health
	}
	facts := []fact{{"Name", cell{i.Name, bold}}, {"Status", state}, {"Image", text(i.Image)}, {"ID", text(i.ID[:min(12, len(i.ID))])},
		{"Created", text(a.out.when(i.Created))}, {"Project", text(i.Project)}}
	if i.Persist {
		facts = append(facts, fact{"Lasts", text("until it is shut down by name")})
	}
	if i.TTLLeft >= 0 {
		facts = append(facts, fact{"Ends", text("in " + span(i.TTLLeft))})
	}
	if i.IdleLeft >= 0 {
		facts = append(facts, fact{"Ends if idle", text("in " + span(i.IdleLeft))})
	}
	if i.Running {
		facts = append(facts, fact{"Memory", memoryUse(i)}, fact{"Processor", processorUse(i)}, fact{"Processes", processUse(i)})
	}
	facts = append(facts, fact{"Network", networkOf(i)})
	for _, p := range i.Ports {
		facts = append(facts, fact{"Port", text(fmt.Sprintf("%s → %d/%s", net.JoinHostPort(p.Address, strconv.Itoa(p.Host)), p.Container, p.Protocol))})
	}
	for _, v := range i.Volumes {
		how := ""
		if v.ReadOnly {
			how = ", read-only"
		}
		facts = append(facts, fact{"Volume", text(v.Host + " → " + v.Container + how)})
	}
	return append(facts, fact{"User", text(i.User)}, fact{"Security", securityOf(i)}, fact{"Runtime", text(i.Runtime)}, fact{"Way in", text(i.ExecPath)})
}

func memoryUse(i *pocketdock.Info) cell {
	if i.Memory < 0 {
		return cell{"not known", faint}
	}
	c := text(pocketdock.FormatSize(i.Memory))
	if i.MemoryLimit == 0 {
		c.text += ", no limit"
		return c
	}
	c.text += fmt.Sprintf(" of %s, %.0f %%", pocketdock.FormatSize(i.MemoryLimit), i.MemoryPercent)
	if i.MemoryPercent > 90 {
		c.paint = bad
	}
	return c
}

func processorUse(i *pocketdock.Info) cell {
	if i.CPUTime < 0 {
		return cell{"not known", faint}
	}
	return text(fmt.Sprintf("%.1f %% of a core, %v in all", i.CPUPercent, i.CPUTime.Round(time.Millisecond)))
}

func processUse(i *pocketdock.Info) cell {
	switch {
	case i.PIDs < 0:
		return cell{"not known", faint}
	case i.PIDsLimit == 0:
		return text(fmt.Sprintf("%d, no limit", i.PIDs))
	}
	return text(fmt.Sprintf("%d of %d", i.PIDs, i.PIDsLimit))
}

func networkOf(i *pocketdock.Info) cell {
	if !i.Network {
		return text("none")
	}
	return cell{strings.TrimSpace("connected " + i.IP), odd}
}

// securityOf says in words what a command in there may do.
func securityOf(i *pocketdock.Info) cell {
	var parts []string
	if i.NoNewPrivileges {
		parts = append(parts, "no new privileges")
	}
	own := []string{"CHOWN", "DAC_OVERRIDE", "FOWNER", "KILL", "SETGID", "SETPCAP", "SETUID"} // the agent's
	var more []string
	for _, c := range i.Capabilities {
		if !slices.Contains(own, c) {
			more = append(more, c)
		}
	}
	if len(more) > 0 {
		parts = append(parts, "commands may be given "+strings.Join(more, ", "))
	}
	if i.ReadOnly {
		parts = append(parts, "read-only root")
	}
	return text(strings.Join(parts, ", "))
}
