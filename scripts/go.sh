#!/bin/sh
# Runs the Go toolchain this project needs with the given arguments, finding
# or fetching it first: an installed Go of the right version, else any older
# Go that can fetch the right one from the module proxy, else Debian's.
set -eu
need=1.26
want=1.26.8
cache=${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/exhibit-go

newer() { # newer A B: version A is at least B
	[ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]
}
version() { "$1" env GOVERSION 2>/dev/null | sed 's/^go//; s/[^0-9.].*//'; }

machine() {
	case $(uname -m) in
	x86_64) echo amd64 ;;
	aarch64) echo arm64 ;;
	*) echo "no Go toolchain is known for $(uname -m): install Go $need yourself" >&2; exit 2 ;;
	esac
}

fetch() { # with an older Go: the toolchain is a module, checked by the checksum database
	old=$1
	module=golang.org/toolchain@v0.0.1-go$want.linux-$(machine)
	echo "fetching Go $want with $old $(version "$old") ..." >&2
	mkdir -p "$cache"
	(cd "$cache" && GO111MODULE=on GOFLAGS=-mod=mod GOTOOLCHAIN=local GOMODCACHE="$cache/mod" GOPATH="$cache/path" "$old" mod download "$module" >&2)
	chmod -R u+w,a+rX "$cache/mod/$module"
	find "$cache/mod/$module/bin" "$cache/mod/$module/pkg/tool" -type f -exec chmod 755 {} +
	ln -sfn "$cache/mod/$module" "$cache/current"
}

find_go() {
	for go in go /usr/local/go/bin/go /usr/lib/go/bin/go "$cache/current/bin/go"; do
		path=$(command -v "$go" 2>/dev/null) || continue
		if newer "$(GOTOOLCHAIN=local version "$path")" "$need"; then
			echo "$path"
			return
		fi
	done
	for go in go /usr/local/go/bin/go /usr/lib/go/bin/go; do
		path=$(command -v "$go" 2>/dev/null) || continue
		fetch "$path"
		echo "$cache/current/bin/go"
		return
	done
	return 1
}

if ! go=$(find_go); then
	if ! command -v apt-get >/dev/null 2>&1; then
		echo "Exhibit needs Go $need or newer: install it and run this again" >&2
		exit 2
	fi
	if [ "$(id -u)" = 0 ]; then
		as=
	elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
		as=sudo
	else
		echo "Exhibit needs Go. Run:  su -c 'apt-get install -y golang-go ca-certificates'  and then this again" >&2
		exit 2
	fi
	echo "installing Debian's golang-go ..." >&2
	$as apt-get update -qq >&2
	$as env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends golang-go ca-certificates >&2
	go=$(find_go)
fi
export GOTOOLCHAIN=local
exec "$go" "$@"
