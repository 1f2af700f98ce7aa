# Podman, as root and as an ordinary user. Sourced by ../engines.
# shellcheck shell=bash

# The rootful engine's default network. Netavark names firewall chains after
# networks, so with the usual name, podman, they would be another Podman's too.
readonly PODMAN_NETWORK=pocketdock-test

# Where the rootless engine lives on a cgroup v2 host, and a container whose
# HostConfig.CgroupParent says so. Without systemd, Podman 4.3 puts the others in
# no cgroup of their own, and their limits do nothing; with cgroup v1 it cannot
# limit rootless containers at all.
readonly ROOTLESS_CGROUP=pocketdock-test/rootless

prepare_podman() {
	install -d -m 0700 "$BASE/podman" "$BASE/podman"/{storage,tmp,networks}
	allow_forwarding
	podman_config podman
	podman_network
}

prepare_rootless() {
	local dir=$BASE/rootless
	ensure_user
	install -d -m 0700 -o "$TEST_USER" -g "$TEST_USER" "$dir" "$dir"/{storage,tmp,networks,state}
	podman_config rootless
	if [[ $(cgroup_layout) == unified ]]; then
		delegate "$ROOTLESS_CGROUP" "$TEST_USER"
	fi
}

# podman_config writes containers.conf with what this host needs.
podman_config() {
	local dir=$BASE/$1 runtime=crun nofile nproc ulimits='' network=''
	# crun: "cgroups in hybrid mode not supported".
	if [[ $(cgroup_layout) == hybrid ]]; then
		runtime=runc
	fi
	# Podman gives containers a million open files and as many processes as it may
	# have itself, and crun, as root, raises RLIMIT_MEMLOCK: not without this
	# capability.
	if ! setpriv --dump | grep --quiet '^Capability bounding set:.*sys_resource'; then
		[[ $1 == rootless ]] || runtime=runc
		nofile=$(ulimit -Hn)
		nproc=$(printf '%s\n' "$(ulimit -Hu)" "$(</proc/sys/kernel/pid_max)" | sort --numeric-sort | head -n 1)
		ulimits="default_ulimits = [\"nofile=$nofile:$nofile\", \"nproc=$nproc:$nproc\"]"
	fi
	if [[ $1 == podman ]]; then
		network="default_network = \"$PODMAN_NETWORK\""
	fi
	cat >"$dir/containers.conf" <<-TOML
		[containers]
		log_driver = "k8s-file"
		$ulimits

		[network]
		network_config_dir = "$dir/networks"
		$network

		[engine]
		cgroup_manager = "cgroupfs"
		events_logger = "file"
		runtime = "$runtime"
		tmp_dir = "$dir/run/libpod"
		# How long an ended exec's conmon waits before it cleans up: 300 s by
		# default, and a test suite makes thousands.
		exit_command_delay = 60
	TOML
}

# podman_network defines the default network, with a bridge and addresses that no
# other Podman uses (they have podman0 and 10.88.0.0/16).
podman_network() {
	local id
	id=$(sha256sum <<<"$BASE" | cut -d' ' -f1)
	jq --null-input --arg name "$PODMAN_NETWORK" --arg id "$id" --arg bridge "pdtest${id:0:4}" \
		--arg subnet "10.187.$((16#${id:0:2}))" '{
			name: $name, id: $id, driver: "bridge", network_interface: $bridge,
			created: "2024-01-01T00:00:00Z",
			subnets: [{subnet: ($subnet + ".0/24"), gateway: ($subnet + ".1")}],
			ipv6_enabled: false, internal: false, dns_enabled: false,
			ipam_options: {driver: "host-local"}
		}' >"$BASE/podman/networks/$PODMAN_NETWORK.json"
}

serve_podman() {
	become_podman podman env --ignore-environment
}

serve_rootless() {
	chown "$TEST_USER:$TEST_USER" "$BASE/rootless/run"
	# slirp4netns opens the tun device as the user, and without udev only root may.
	mkdir -p /dev/net
	mount -t tmpfs -o mode=0755 tmpfs /dev/net
	mknod -m 0666 /dev/net/tun c 10 200
	if [[ $(cgroup_layout) == unified ]]; then
		echo $$ >"/sys/fs/cgroup/$ROOTLESS_CGROUP/service/cgroup.procs"
	fi
	become_podman rootless \
		setpriv --reuid "$TEST_USER" --regid "$TEST_USER" --init-groups env --ignore-environment
}

# become_podman replaces this process by the service: become_podman ENGINE WRAPPER ...
become_podman() {
	local dir=$BASE/$1
	mount -t tmpfs -o mode=1777 tmpfs /dev/shm # where a Podman has its locks, by user
	cd "$dir" || exit                          # the caller's may be closed to the user
	# A clean environment: neither the caller's CONTAINER_* nor its secrets.
	exec "${@:2}" PATH="$PATH" HOME="$dir" XDG_RUNTIME_DIR="$dir/run" TMPDIR="$dir/tmp" \
		CONTAINERS_CONF="$dir/containers.conf" \
		podman --root "$dir/storage" --runroot "$dir/run/containers" --storage-driver overlay \
		system service --time=0 "unix://$(socket "$1")"
}

# clean_podman takes away what a killed Podman leaves of its networks. One that
# stops in order leaves nothing of them.
clean_podman() {
	local bridge name chains=''
	while read -r bridge name; do
		drop_bridges "$bridge"
		chains+="|$(netavark_chain "$name")"
	done < <(jq --raw-output '"\(.network_interface) \(.name)"' "$BASE"/podman/networks/*.json)
	drop_rules "NETAVARK-(DN-)?(${chains#|})"
}

# clean_shared takes away what all Podmans here use, if this was the last one:
# Netavark's common chains and the parent of the cgroups.
clean_shared() {
	if ! pidof podman conmon >/dev/null; then
		drop_rules NETAVARK
		remove_cgroups libpod_parent
	fi
}

# netavark_chain prints the part of a chain's name that stands for a network.
netavark_chain() { printf %s "$1" | sha512sum | cut -c1-13 | tr a-f A-F; }

clean_rootless() { remove_cgroups "$ROOTLESS_CGROUP"; }

readonly USER_COMMENT='pocketdock test engines'

ensure_user() {
	local file
	if ! getent passwd "$TEST_USER" >/dev/null; then
		useradd --comment "$USER_COMMENT" --home-dir "$BASE/rootless" --no-create-home --shell /usr/sbin/nologin "$TEST_USER"
	fi
	for file in /etc/subuid /etc/subgid; do
		grep --quiet "^$TEST_USER:" "$file" || die "$TEST_USER has no range of IDs in $file"
	done
}

purge_podman() { :; }

# purge_rootless removes the user if this script made it.
purge_rootless() {
	if [[ $(getent passwd "$TEST_USER" | cut -d: -f5) == "$USER_COMMENT" ]]; then
		userdel "$TEST_USER"
	fi
}
