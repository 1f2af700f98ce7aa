# The test images, built without a registry. Sourced by ../engines.
#
# Only the layers are kept on disk. Configuration and manifest are written here
# and streamed with the layer to POST /images/load, so every engine gets the very
# same bytes and the same image IDs, and an image is loaded again only if its ID
# would change.
#
# Names: the archives carry the full names (docker.io/...), as if the images had
# been pulled. Every engine's API finds them by the names below; Docker lists them
# so, Podman lists the full ones. Loaded with short names, Podman would tag them
# localhost/NAME and not find docker.io/NAME.
# shellcheck shell=bash

# images lists them: name, layer, user, working directory, command.
images() {
	cat <<-'TABLE'
		pocketdock-test/busybox:latest busybox -       /             ["sh"]
		pocketdock-test/scratch:latest scratch -       /             ["/busybox","sh"]
		debian:bookworm-slim           debian  -       /             ["bash"]
		pocketdock-test/python:latest  debian  sandbox /home/sandbox ["bash"]
	TABLE
}

load_images() {
	local engine engines=() name layer user workdir command
	for engine; do
		if is_up "$engine"; then
			engines+=("$engine")
		fi
	done
	((${#engines[@]})) || die "no engine is up; run: scripts/engines up"
	while read -r name layer user workdir command; do
		ensure_layer "$layer"
		for engine in "${engines[@]}"; do
			load_image "$engine" "$name" "$layer" "$user" "$workdir" "$command"
		done
	done < <(images)
}

load_image() {
	local engine=$1 name=$2 layer=$3 config id work answer
	config=$(image_config "${@:3}")
	id=sha256:$(printf %s "$config" | sha256sum | cut -d' ' -f1)
	if [[ $(api "$engine" "/images/$name/json" 2>/dev/null | jq --raw-output .Id) == "$id" ]]; then
		return
	fi
	work=$(mktemp --directory "$BASE/layers/load.XXXXXX")
	printf %s "$config" >"$work/config.json"
	jq --null-input --arg name "$(full_name "$name")" --arg layer "$layer.tar" \
		'[{Config: "config.json", RepoTags: [$name], Layers: [$layer]}]' >"$work/manifest.json"
	answer=$(tar --create --directory "$work" manifest.json config.json --directory "$BASE/layers" "$layer.tar" |
		api "$engine" /images/load --request POST --header 'Content-Type: application/x-tar' --upload-file -)
	rm -r "$work"
	# Both report failures inside a 200 answer.
	[[ $(api "$engine" "/images/$name/json" | jq --raw-output .Id) == "$id" ]] ||
		die "$engine did not load $name: $answer"
	printf '%s\tloaded %s\n' "$engine" "$name"
}

full_name() {
	case $1 in
	*/*) echo "docker.io/$1" ;;
	*) echo "docker.io/library/$1" ;;
	esac
}

# image_config prints an image's configuration: LAYER USER WORKDIR COMMAND.
image_config() {
	local layer=$1 user=${2#-} workdir=$3 command=$4
	jq --null-input --compact-output --arg arch "$(dpkg --print-architecture)" --arg diff "sha256:$(<"$BASE/layers/$layer.sha256")" \
		--arg user "$user" --arg workdir "$workdir" --argjson command "$command" '{
			architecture: $arch, os: "linux", created: "2024-01-01T00:00:00Z",
			config: {
				User: $user, WorkingDir: $workdir, Cmd: $command,
				Env: ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]
			},
			rootfs: {type: "layers", diff_ids: [$diff]},
			history: [{created: "2024-01-01T00:00:00Z", created_by: "scripts/engines images"}]
		}'
}

# ensure_layer builds layers/NAME.tar and its digest if they are not there.
ensure_layer() {
	local tar=$BASE/layers/$1.tar digest=$BASE/layers/$1.sha256
	[[ -e $digest ]] && return
	install_packages images
	mkdir -p "$BASE/layers"
	rm -f "$tar"
	echo "engines: building the $1 layer"
	"layer_$1" "$tar"
	sha256sum "$tar" | cut -d' ' -f1 >"$digest.new"
	mv "$digest.new" "$digest"
}

# pack writes a directory as a layer that is the same on every run.
pack() { tar --create --file "$2" --directory "$1" --sort=name --numeric-owner --mtime=@0 .; }

# layer_busybox: one static binary under all its names, root and a user.
layer_busybox() {
	local root applet
	root=$(mktemp --directory "$BASE/layers/root.XXXXXX")
	chmod 0755 "$root"
	mkdir -p "$root"/{bin,etc,home,proc,sys,dev}
	install -m 0755 /bin/busybox "$root/bin/busybox"
	while read -r applet; do
		[[ $applet == busybox ]] || ln -s busybox "$root/bin/$applet"
	done < <(busybox --list)
	printf '%s\n' root:x:0:0:root:/root:/bin/sh sandbox:x:1000:1000::/home/sandbox:/bin/sh >"$root/etc/passwd"
	printf '%s\n' root:x:0: sandbox:x:1000: >"$root/etc/group"
	install -d -m 0700 "$root/root"
	install -d -m 0755 -o 1000 -g 1000 "$root/home/sandbox"
	install -d -m 1777 "$root/tmp"
	pack "$root" "$1"
	rm -r "$root"
}

# layer_scratch: nothing but one binary; no shell at a known path, no /etc, no /tmp.
layer_scratch() {
	local root
	root=$(mktemp --directory "$BASE/layers/root.XXXXXX")
	chmod 0755 "$root"
	install -m 0755 /bin/busybox "$root/busybox"
	pack "$root" "$1"
	rm -r "$root"
}

# layer_debian stands in for debian:bookworm-slim: as small, with python3 besides,
# and a user named sandbox.
layer_debian() {
	local slim=(/usr/share/{doc,man,locale,info,lintian}/'*')
	# usr-is-merged: the default, usrmerge, brings 55 MB of Perl.
	# shellcheck disable=SC2016 # mmdebstrap's shell expands $1 in the hooks
	quietly mmdebstrap --mode=root --variant=minbase --include=bash,ca-certificates,python3,usr-is-merged \
		--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr \
		"${slim[@]/#/--dpkgopt=path-exclude=}" --dpkgopt='path-include=/usr/share/doc/*/copyright' \
		--skip=output/dev \
		--customize-hook='chroot "$1" useradd --uid 1000 --create-home --shell /bin/bash sandbox' \
		--customize-hook='rm -rf "$1"/var/lib/apt/lists/* "$1"/etc/resolv.conf "$1"/etc/hostname' \
		bookworm "$1"
}
