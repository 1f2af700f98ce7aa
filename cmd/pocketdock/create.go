package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/pocketdock/pocketdock"
)

// createFlags are the options of create, as they are written.
type createFlags struct {
	image, profile, memory, disk       string
	env, ports, volumes, labels, tmpfs []string
	secrets                            []string
	network, noNetwork, noMounts       bool
	timeout                            time.Duration
	options                            pocketdock.CreateOptions
}

func (a *app) createCommand() *cobra.Command {
	var o createFlags
	cmd := &cobra.Command{
		Use:   "create",
		Short: "Create a sandbox",
		Long: `Creates a sandbox, starts it, and prints its name.

Without options it has no network, no privileges, 2 GiB of memory, two cores and
512 processes. It stays until it is shut down, unless --ttl or --idle-timeout
ends it. An option that the engine cannot enforce is an error.

In a project its settings say what is not given here: the profile, whether it is
meant to last, the idle limit. One that is meant to last has a directory in
.pocketdock/instances, where what runs in it is recorded: see logs.

A secret is an environment variable, too, but in no configuration of the engine,
no image, log or process list. --secret NAME takes the value of your variable NAME,
--secret NAME=@FILE that of a file, without one line end at its end.

Here -v is --volume, as in other container tools, and --verbose has no letter.`,
		Example: `  pocketdock create --name web --network -p 8080:80 -v ./site:/srv:ro
  pocketdock create --name work --profile agent --persist --secret API_KEY
  box=$(pocketdock create --mem-limit 512m --idle-timeout 10m)`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError{cmd, fmt.Errorf("%q: create takes no argument; a name goes behind --name, an image behind --image, a command to run", args[0])}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			w, err := a.work()
			if err != nil {
				return err
			}
			o.settle(cmd.Flags(), w)
			return a.create(cmd.Context(), &o, w)
		},
	}
	f := cmd.Flags()
	// A flag of the same name takes the letter away from the global one.
	f.BoolVar(&a.verbose, "verbose", false, "say what is done, and how long it took")
	o.register(f)
	_ = cmd.RegisterFlagCompletionFunc("device", fileCompletion)
	_ = cmd.RegisterFlagCompletionFunc("volume", fileCompletion)
	cmd.MarkFlagsMutuallyExclusive("network", "no-network")
	_ = cmd.RegisterFlagCompletionFunc("profile", a.profileNames)
	a.takesJSON(cmd, createJSON{}, false)
	return cmd
}

func fileCompletion(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveDefault
}

func (o *createFlags) register(f *pflag.FlagSet) {
	c := &o.options
	f.StringVar(&o.image, "image", "", "image to make it from (default: the profile's, and without one "+defaultImage+")")
	f.StringVar(&o.profile, "profile", "", "profile to make it of (default: in a project, its default_profile)")
	f.StringVar(&c.Name, "name", "", `name (default "pd-" and 8 hexadecimal digits)`)
	f.StringVar(&c.Project, "project", "", "project that it belongs to (default: the one here)")
	f.StringVar(&o.memory, "mem-limit", "", "memory limit, such as 512m; none for no limit (default 2g)")
	f.IntVar(&c.CPUPercent, "cpu-percent", 0, "processor limit, 100 is one core; -1 for none (default 200)")
	f.Int64Var(&c.PIDs, "pids-limit", 0, "limit of processes and threads; -1 for none (default 512)")
	f.BoolVar(&c.Persist, "persist", false, "it is meant to last: only a name or ID removes it")
	f.StringArrayVar(&c.Devices, "device", nil, "device of this machine, by path")
	f.StringArrayVarP(&o.ports, "port", "p", nil, "publish a port, [ADDRESS:][HOST:]CONTAINER[/udp]; on 127.0.0.1 by default")
	f.StringArrayVarP(&o.volumes, "volume", "v", nil, "mount a file or directory, HOST:CONTAINER[:ro]")
	f.StringArrayVarP(&o.env, "env", "e", nil, "environment variable, NAME=VALUE, or NAME with the value that it has here; whoever may use the engine can read it")
	f.StringArrayVar(&o.secrets, "secret", nil, "secret, NAME from this environment, or NAME=@FILE")
	f.StringVarP(&c.Dir, "workdir", "w", "", "working directory (default: the image's)")
	f.StringVarP(&c.User, "user", "u", "", "user that commands run as (default: the image's)")
	f.BoolVar(&o.network, "network", false, "connect it to the engine's network (default: the profile's)")
	f.BoolVar(&o.noNetwork, "no-network", false, "no network but loopback, which is the default without a profile")
	f.DurationVar(&o.timeout, "timeout", 30*time.Second, "of a run that sets none; 0 for never")
	f.DurationVar(&c.TTL, "ttl", 0, "end it this long after its start")
	f.DurationVar(&c.IdleTimeout, "idle-timeout", 0, "end it when nothing ran in it for this long")
	f.StringVar(&c.Runtime, "runtime", "", "OCI runtime that the engine has, such as runsc or kata")
	f.BoolVar(&c.ReadOnly, "read-only", false, "the root is read-only, with a /tmp in memory")
	f.StringArrayVar(&o.tmpfs, "tmpfs", nil, "file system in memory, PATH[:SIZE]")
	f.StringVar(&o.disk, "disk-limit", "", "limit of what is written, such as 5g, where the engine can enforce one")
	f.StringArrayVarP(&o.labels, "label", "l", nil, "label, NAME=VALUE")
	f.StringSliceVar(&c.Capabilities, "cap", nil, "capability that commands may be given, such as NET_BIND_SERVICE")
	f.BoolVar(&c.RunImage, "run-image", false, `run the image's own command, as the process "main"`)
	f.BoolVar(&o.noMounts, "no-mounts", false, "the engine does not share this machine's files (a forwarded socket)")
}

// parse turns what was written into options.
func (o *createFlags) parse() (c pocketdock.CreateOptions, err error) {
	c = o.options
	c.Owner = -1 // it outlives this program
	c.Network, c.NoNetwork = o.network, o.noNetwork
	if c.Timeout = o.timeout; o.timeout == 0 {
		c.Timeout = -1
	}
	if c.Memory, err = parseMemory(o.memory); err != nil {
		return c, err
	}
	if o.disk != "" {
		if c.Disk, err = pocketdock.ParseSize(o.disk); err != nil {
			return c, fmt.Errorf("--disk-limit: %w", err)
		}
	}
	if len(o.ports) > 0 && !o.network && (o.noNetwork || c.Profile == "") {
		return c, fmt.Errorf("%w: --port %s needs the network: add --network", pocketdock.ErrInvalid, o.ports[0])
	}
	for _, s := range o.ports {
		p, err := parsePort(s)
		if err != nil {
			return c, err
		}
		c.Ports = append(c.Ports, p)
	}
	for _, s := range o.volumes {
		v, err := parseVolume(s)
		if err != nil {
			return c, err
		}
		c.Volumes = append(c.Volumes, v)
	}
	if c.Env, err = variables(o.env); err != nil {
		return c, err
	}
	if c.Secrets, err = readSecrets(o.secrets); err != nil {
		return c, err
	}
	if c.Labels, err = pairs("label", o.labels); err != nil {
		return c, err
	}
	c.Tmpfs, err = parseTmpfs(o.tmpfs)
	return c, err
}

type createJSON struct {
	ID       string  `json:"id" help:"64 hexadecimal digits"`
	Name     string  `json:"name" help:"of the container"`
	Image    string  `json:"image" help:"as named"`
	Profile  string  `json:"profile" help:"empty: none"`
	Project  string  `json:"project" help:"empty: none"`
	Persist  bool    `json:"persist" help:"it is meant to last"`
	DataPath string  `json:"data_path" help:"directory of this machine with its socket and records"`
	Seconds  float64 `json:"seconds" help:"that it took"`
}

// settle completes the options from the settings.
func (o *createFlags) settle(f *pflag.FlagSet, w *workplace) {
	c := &o.options
	o.image, c.Profile = w.origin(o.image, o.profile)
	if !f.Changed("persist") {
		c.Persist = w.DefaultPersist
	}
	if !f.Changed("idle-timeout") {
		c.IdleTimeout = w.Containers.IdleTimeout
	}
	if !f.Changed("project") {
		c.Project = w.ProjectName
	}
	if w.project != nil && c.Persist && c.Project == w.ProjectName {
		c.ProjectDir = w.project.Dir()
	}
}

func (a *app) create(ctx context.Context, o *createFlags, w *workplace) error {
	opts, err := o.parse()
	if err != nil {
		return err
	}
	if err := a.checkProfile(ctx, w, opts.Profile); err != nil {
		return err
	}
	a.client.NoMounts = o.noMounts
	begun := time.Now()
	box, err := a.client.Create(ctx, o.image, opts)
	if err != nil {
		return err
	}
	image := imageOf(o.image, opts.Profile)
	a.logf("sandbox %s of %s, on %s", box, image, a.engineName(ctx))
	if opts.ProjectDir != "" {
		a.enroll(w, box, image, opts)
	}
	if a.json {
		return a.out.printJSON(createJSON{box.ID(), box.Name(), image, opts.Profile, opts.Project, opts.Persist,
			box.DataPath(), seconds(time.Since(begun))})
	}
	if _, err := fmt.Fprintln(a.out, box.Name()); err != nil {
		return err
	}
	a.notef("Use it with: pocketdock shell %s", box)
	return nil
}
