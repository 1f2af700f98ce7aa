# Docker Engine. Sourced by ../engines.
# shellcheck shell=bash

# Names that dockerd gives to its bridges, and what all its firewall rules match:
# its chains, its bridges, or a container that masquerades to itself.
readonly DOCKER_BRIDGES='docker0|br-[0-9a-f]{12}'
readonly DOCKER_RULES="DOCKER|$DOCKER_BRIDGES|-s ([0-9a-f.:]+/[0-9]+) -d \\1 .*-j MASQUERADE"

# other_dockerd prints the process ID of a dockerd that is not ours but has the
# same network stack. Two cannot share one: each rewrites the DOCKER chains.
other_dockerd() {
	local pid net
	net=$(readlink /proc/self/ns/net)
	for pid in $(pidof dockerd); do
		if [[ $(readlink "/proc/$pid/ns/net") == "$net" ]] && ! engine_pids docker | grep --quiet --line-regexp "$pid"; then
			echo "$pid"
			return
		fi
	done
	return 1
}

prepare_docker() {
	local dir=$BASE/docker pid
	if pid=$(other_dockerd); then
		die "another Docker Engine runs here (process $pid), and its firewall rules would be overwritten." \
			"Stop it, or test against it: export POCKETDOCK_TEST_DOCKER=unix:///var/run/docker.sock"
	fi
	install -d -m 0700 "$dir"
	allow_forwarding
	cat >"$dir/daemon.json" <<-JSON
		{
			"hosts": ["unix://$(socket docker)"],
			"group": "root",
			"data-root": "$dir/storage",
			"exec-root": "$dir/run/exec",
			"pidfile": "$dir/run/dockerd.pid",
			"exec-opts": ["native.cgroupdriver=cgroupfs"],
			"cgroup-parent": "/pocketdock-test/docker",
			"log-level": "warn"
		}
	JSON
}

serve_docker() {
	# A clean environment: neither the caller's DOCKER_* nor its secrets.
	exec env --ignore-environment PATH="$PATH" HOME="$BASE/docker" dockerd --config-file "$BASE/docker/daemon.json"
}

clean_docker() {
	remove_cgroups pocketdock-test/docker
	if other_dockerd >/dev/null; then
		return # the rules and bridges are now that one's
	fi
	drop_rules "$DOCKER_RULES"
	drop_bridges "$DOCKER_BRIDGES"
}

purge_docker() { :; }
