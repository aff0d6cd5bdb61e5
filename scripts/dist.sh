#!/bin/sh
# Builds stripped static programs into dist/ with their checksums.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"
rm -rf dist
mkdir dist
build() { # build OS ARCH PROGRAM TAGS [NAME]
	suffix= name=${5:-$3}
	[ "$1" = windows ] && suffix=.exe
	CGO_ENABLED=0 GOOS=$1 GOARCH=$2 sh scripts/go.sh build -trimpath -tags "$4" \
		-ldflags "-s -w -X main.version=${VERSION:-unknown}" -o "dist/$name-$1-$2$suffix" "./cmd/$3"
}
for arch in amd64 arm64; do
	build linux $arch exhibit-collector urfave_cli_no_docs,exhibit_no_web
	build linux $arch exhibit-collector urfave_cli_no_docs exhibit-collector-web
	for os in linux darwin windows; do
		build $os $arch exhibit ""
		build $os $arch exhibit-verify ""
	done
done
cd dist
sha256sum ./* >SHA256SUMS
ls -l
