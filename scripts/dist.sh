#!/bin/sh
# Builds stripped static programs into dist/ with their checksums.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"
rm -rf dist
mkdir dist
build() { # build OS ARCH PROGRAM TAGS
	suffix=
	[ "$1" = windows ] && suffix=.exe
	CGO_ENABLED=0 GOOS=$1 GOARCH=$2 sh scripts/go.sh build -trimpath -tags "$4" \
		-ldflags "-s -w -X main.version=${VERSION:-unknown}" -o "dist/$3-$1-$2$suffix" "./cmd/$3"
}
for arch in amd64 arm64; do
	build linux $arch exhibit-collector urfave_cli_no_docs
	for os in linux darwin windows; do
		build $os $arch exhibit ""
		build $os $arch exhibit-verify ""
	done
done
cd dist
sha256sum ./* >SHA256SUMS
ls -l
