#!/bin/sh
# Builds stripped static programs into dist/ with their checksums. TARGETS=
# names some systems only, PROGRAMS= some programs, DIST= another folder.
#
# The same source makes the same bytes wherever it lies: paths are trimmed,
# there is no build id and nothing of the repository but VERSION, and no C
# compiler takes part. A collector over its size ends the build.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
dist=${DIST:-$root/dist}
cd "$root"
collectors="linux/amd64 linux/arm64 linux/386 linux/arm freebsd/amd64 darwin/amd64 darwin/arm64 windows/amd64 windows/386 windows/arm64"
analysts="linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64 windows/arm64"
rm -rf "$dist"
mkdir "$dist"
wanted() { # wanted WORD LIST: an empty list has all
	[ -z "$2" ] && return 0
	case " $2 " in *" $1 "*) return 0 ;; *) return 1 ;; esac
}
build() { # build OS/ARCH PROGRAM TAGS MAX [NAME]
	os=${1%/*} arch=${1#*/} name=${5:-$2} suffix=
	wanted "$1" "${TARGETS:-}" && wanted "$name" "${PROGRAMS:-}" || return 0
	[ "$os" = windows ] && suffix=.exe
	out=$dist/$name-$os-$arch$suffix
	# One program for ARM v5 to v7: without hardware floating point, which it
	# hardly needs.
	CGO_ENABLED=0 GOOS=$os GOARCH=$arch GOARM=5 sh scripts/go.sh build -trimpath -buildvcs=false -tags "$3" \
		-ldflags "-s -w -buildid= -X main.version=${VERSION:-unknown}" -o "$out" "./cmd/$2"
	size=$(($(wc -c <"$out")))
	if [ "$size" -gt "$4" ]; then
		echo "$out has $size bytes, more than $4" >&2
		exit 1
	fi
}
for target in $collectors; do
	build "$target" exhibit-collector urfave_cli_no_docs,exhibit_no_web 15728640
	build "$target" exhibit-collector urfave_cli_no_docs 18874368 exhibit-collector-web
done
for target in $analysts; do
	build "$target" exhibit "" 100000000
	build "$target" exhibit-verify "" 6000000
done
cd "$dist"
sha256sum -- * >SHA256SUMS
ls -l
