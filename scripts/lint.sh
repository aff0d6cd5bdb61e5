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
echo "== gofumpt"
changed=$(go run mvdan.cc/gofumpt@v0.12.0 -l .)
if [ -n "$changed" ]; then
	echo "not formatted (run gofumpt -w on them):"
	echo "$changed"
	exit 1
fi
echo "== staticcheck"
go run honnef.co/go/tools/cmd/staticcheck@v0.8.2 ./...
