#!/bin/sh
# The lint gate. The tools are pinned here and leave go.mod alone.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"
go() { sh "$root/scripts/go.sh" "$@"; }
echo "== go vet"
go vet ./...
for os in windows darwin; do
	echo "== build for $os"
	GOOS=$os CGO_ENABLED=0 go build ./...
done
for target in linux/386 linux/arm freebsd/amd64 darwin/arm64 windows/386; do
	echo "== the collector for $target"
	GOOS=${target%/*} GOARCH=${target#*/} CGO_ENABLED=0 go vet ./cmd/exhibit-collector ./collect/... ./bundle ./chainofcustody
done
echo "== gofumpt"
changed=$(go run mvdan.cc/gofumpt@v0.12.0 -l .)
if [ -n "$changed" ]; then
	echo "not formatted (run gofumpt -w on them):"
	echo "$changed"
	exit 1
fi
echo "== staticcheck"
go run honnef.co/go/tools/cmd/staticcheck@v0.8.2 ./...
