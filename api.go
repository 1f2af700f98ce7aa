package pocketdock

// The objects of the Engine API v1.41 that we send and read, with the fields
// we use. Source: https://docs.docker.com/reference/api/engine/version/v1.41/

type apiContainerConfig struct {
	Image        string
	Entrypoint   []string
	Cmd          []string
	User         string
	Env          []string            `json:",omitempty"`
	Labels       map[string]string   `json:",omitempty"`
	ExposedPorts map[string]struct{} `json:",omitempty"`
	Volumes      map[string]struct{} `json:",omitempty"`
	StopSignal   string
	Hostname     string `json:",omitempty"`
	HostConfig   apiHostConfig
}

type apiHostConfig struct {
	Binds          []string                    `json:",omitempty"`
	Mounts         []apiMount                  `json:",omitempty"`
	Tmpfs          map[string]string           `json:",omitempty"`
	Memory         int64                       `json:",omitempty"`
	MemorySwap     int64                       `json:",omitempty"`
	CpuPeriod      int64                       `json:",omitempty"`
	CpuQuota       int64                       `json:",omitempty"`
	PidsLimit      *int64                      `json:",omitempty"`
	PortBindings   map[string][]apiPortBinding `json:",omitempty"`
	NetworkMode    string
	ReadonlyRootfs bool
	Devices        []apiDevice `json:",omitempty"`
	CapDrop        []string
	CapAdd         []string
	SecurityOpt    []string
	AutoRemove     bool
	Runtime        string                 `json:",omitempty"`
	StorageOpt     map[string]string      `json:",omitempty"`
	Init           *bool                  `json:",omitempty"`
	UsernsMode     string                 `json:",omitempty"`
	IpcMode        string                 `json:",omitempty"`
	RestartPolicy  *struct{ Name string } `json:",omitempty"`
	Privileged     bool
}

type apiMount struct {
	Type     string
	Source   string
	Target   string
	ReadOnly bool
}

type apiPortBinding struct {
	HostIp   string //nolint:revive // the API's spelling
	HostPort string
}

type apiDevice struct {
	PathOnHost, PathInContainer, CgroupPermissions string
}

type apiInspect struct {
	ID              string `json:"Id"`
	Name            string
	Created         string
	Image           string // ID
	RestartCount    int
	SizeRw          *int64
	State           apiState
	Config          apiInspectConfig
	HostConfig      apiHostConfig
	NetworkSettings struct {
		IPAddress string
		Ports     map[string][]apiPortBinding
		Networks  map[string]struct{ IPAddress string }
	}
	Mounts []struct {
		Type, Source, Destination string
		RW                        bool
	}
}

type apiInspectConfig struct {
	Image        string
	User         string
	WorkingDir   string
	Env          []string
	Labels       map[string]string
	Entrypoint   []string
	Cmd          []string
	ExposedPorts map[string]struct{}
	Volumes      map[string]struct{} `json:",omitempty"`
}

type apiState struct {
	Status     string
	Running    bool
	Paused     bool
	OOMKilled  bool
	Pid        int
	ExitCode   int
	Error      string
	StartedAt  string
	FinishedAt string
	Health     *struct{ Status string }
}

type apiListItem struct {
	ID      string `json:"Id"`
	Names   []string
	Image   string
	ImageID string
	State   string
	Status  string
	Created int64
	Labels  map[string]string
}

type apiImage struct {
	ID           string `json:"Id"`
	RepoTags     []string
	Created      string
	Size         int64
	Architecture string
	Os           string
	RootFS       struct{ Layers []string }
	Config       struct {
		User, WorkingDir string
		Env              []string
		Entrypoint, Cmd  []string
		Labels           map[string]string
	}
}
