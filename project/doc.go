// Package project keeps what belongs to a directory of work: the settings in
// .pocketdock/pocketdock.yaml, and for each persistent container a directory
// with its description, its history and the output of everything that ran.
//
//	p, err := project.Find(".")
//	settings, err := project.Load(project.LoadOptions{Project: p})
//	inst, err := p.Instance(box.Name())
//	res, err := inst.Recorded(box, settings.Logging).Run(ctx, pocketdock.Shell("make"))
//
// # Layout
//
//	.pocketdock/pocketdock.yaml             settings, see [Load]
//	.pocketdock/.gitignore                  leaves instances/ out of git
//	.pocketdock/instances/NAME/             0700, files 0600
//	    instance.toml                       what the container is, see [Manifest]
//	    history.jsonl                       one line for each command, see [Entry]
//	    logs/run-20260102T150405.000Z-….log its output, see docs/log-format.md
//	    data/                               for whoever uses the container
//
// A project's directory may have been cloned from anywhere, and a sandbox may
// have it mounted: everything below .pocketdock is read with bounds, and a
// symbolic link that leads out of it is an error.
package project
