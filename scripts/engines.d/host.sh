# What the engines need from the host, and giving it back. Sourced by ../engines.
# shellcheck shell=bash

# Directories of the host's in which an engine would meet another engine's state.
readonly PRIVATE_RUN=(/run/containerd /run/containers /run/crun /run/docker /run/netns /run/runc)

packages_of() {
	case $1 in
	docker) echo docker.io iptables iproute2 ;;
	podman) echo podman crun runc catatonit netavark aardvark-dns iptables iproute2 ;;
	rootless) echo podman crun runc catatonit netavark aardvark-dns uidmap slirp4netns passt fuse-overlayfs ;;
	images) echo busybox-static mmdebstrap debian-archive-keyring ;;
	# For the tests that type into a terminal, for scripts/clients, and to check images.
	tools) echo tmux procps vim-tiny htop less nodejs npm erofs-utils ;;
	esac
}

# install_packages installs what the named engines need and is missing. Of what a
# release does not have (Ubuntu 22.04: netavark, passt) it installs the rest.
install_packages() {
	local wanted missing available=() package
	mapfile -t wanted < <({
		echo curl jq
		for package; do packages_of "$package"; done
	} | tr ' ' '\n' | sort --unique)
	if command -v dockerd >/dev/null; then # docker-ce, say; docker.io would replace it
		mapfile -t wanted < <(printf '%s\n' "${wanted[@]}" | grep --invert-match --line-regexp docker.io)
	fi
	if command -v npm >/dev/null; then # of another origin, whose packages exclude Debian's
		mapfile -t wanted < <(printf '%s\n' "${wanted[@]}" | grep --invert-match --line-regexp -e nodejs -e npm)
	fi
	mapfile -t missing < <(comm -23 <(printf '%s\n' "${wanted[@]}") \
		<(dpkg-query --show --showformat='${db:Status-Status} ${Package}\n' "${wanted[@]}" 2>/dev/null |
			sed -n 's/^installed //p' | sort))
	((${#missing[@]})) || return 0

	quietly apt-get update
	for package in "${missing[@]}"; do
		if apt-cache show "$package" >/dev/null 2>&1; then
			available+=("$package")
		fi
	done
	((${#available[@]})) || return 0
	echo "engines: installing ${available[*]}"
	# Not to start the packages' own services: Docker's would take over docker0.
	local policy=/usr/sbin/policy-rc.d
	if [[ ! -e $policy ]]; then
		printf '#!/bin/sh\nexit 101\n' >"$policy"
		chmod +x "$policy"
		trap 'rm -f /usr/sbin/policy-rc.d' EXIT
	fi
	DEBIAN_FRONTEND=noninteractive quietly apt-get install --yes --no-install-recommends "${available[@]}"
}

# quietly runs a command and shows what it said only if it fails.
quietly() {
	local said
	said=$("$@" 2>&1 9>&-) || die "failed: $*"$'\n'"$said"
}

# hide_host_run gives the calling process, which must be in a mount namespace of
# its own, empty directories for everything that does not outlive the engine. The
# rest of /run stays: tests mount directories of theirs from there.
hide_host_run() {
	local dir
	mount --make-rshared / # among this namespace's descendants; the host stays master
	mkdir -p "$1/run"
	mount -t tmpfs -o mode=0700 tmpfs "$1/run"
	for dir in "${PRIVATE_RUN[@]}"; do
		mkdir -p "$dir"
		mount -t tmpfs -o mode=0755 tmpfs "$dir"
	done
}

# remember notes the value of a kernel setting before an engine changes it.
remember() {
	local note=$BASE/host/${1//\//_}
	mkdir -p "$BASE/host"
	[[ -e $note ]] || cat "$1" >"$note"
}

readonly IP_FORWARD=/proc/sys/net/ipv4/ip_forward

# allow_forwarding turns routing on. Docker, finding it off, would also set the
# FORWARD chain's policy to DROP.
allow_forwarding() {
	[[ $(<$IP_FORWARD) == 1 ]] && return
	remember $IP_FORWARD
	echo 1 >$IP_FORWARD
}

restore_host() {
	local note=$BASE/host/${IP_FORWARD//\//_}
	if [[ -e $note ]]; then
		cat "$note" >$IP_FORWARD
	fi
	rm -rf "$BASE/host"
	remove_cgroups pocketdock-test
	# The empty directories of PRIVATE_RUN stay until a reboot: to remove one takes
	# away, without a word, what another namespace has mounted there.
}

# cgroup_layout prints unified (v2), hybrid (v1 controllers beside a v2 tree) or v1.
cgroup_layout() {
	if [[ $(stat --file-system --format=%T /sys/fs/cgroup) == cgroup2fs ]]; then
		echo unified
	elif [[ -d /sys/fs/cgroup/unified ]]; then
		echo hybrid
	else
		echo v1
	fi
}

# delegate makes a cgroup that a user may divide, and in it one named service for
# the user's daemon: delegate PATH USER. Only version 2 allows handing over.
delegate() {
	local cgroup=/sys/fs/cgroup name controller
	mkdir -p "$cgroup/$1/service"
	for name in ${1//\// } ''; do
		for controller in cpu memory pids; do
			echo "+$controller" 2>/dev/null >"$cgroup/cgroup.subtree_control" || true # may be absent
		done
		cgroup=$cgroup/$name
	done
	cgroup=/sys/fs/cgroup/$1
	chown "$2" "$cgroup"{,/service}{,/cgroup.procs,/cgroup.subtree_control,/cgroup.threads}
}

# remove_cgroups removes the (empty) cgroups below a path, in every hierarchy.
remove_cgroups() {
	local root
	for root in /sys/fs/cgroup /sys/fs/cgroup/*; do
		[[ -d $root/$1 ]] || continue
		find "$root/$1" -depth -type d -exec rmdir {} + 2>/dev/null || true
	done
}

# drop_rules takes out every firewall rule and chain that matches a pattern.
drop_rules() {
	local tool rules
	for tool in iptables ip6tables; do
		rules=$($tool-save 2>/dev/null) || continue
		grep --quiet --extended-regexp -- "$1" <<<"$rules" || continue
		grep --invert-match --extended-regexp -- "$1" <<<"$rules" | $tool-restore
	done
}

# drop_bridges deletes the bridges whose whole name matches a pattern.
drop_bridges() {
	local bridge
	while read -r bridge _; do
		ip link delete "$bridge"
	done < <(ip -brief link show type bridge | grep --extended-regexp "^($1) ")
}
