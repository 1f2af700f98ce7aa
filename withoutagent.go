package pocketdock

// WithoutAgent is a handle of the same container that uses the engine's own
// exec and archive API, as for a container that cannot have an agent: to
// compare the two, or to look into a container whose agent does not answer. A
// command that names no user is then run as the container's first process is:
// in one that pocketdock created, as root with that process's capabilities.
func (c *Container) WithoutAgent() *Container {
	plain := &Container{client: c.client, engine: c.engine, id: c.id, name: c.name, timeout: c.timeout,
		persist: c.persist, project: c.project, box: c.box, lease: c.lease}
	plain.exec = &engineExec{c: plain}
	return plain
}
