#!/bin/sh
# Runs every fuzz target of the module for FUZZTIME (default 10s) each.
set -eu
go() { sh "$root/scripts/go.sh" "$@"; }
root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"
for package in $(go list ./...); do
	for target in $(go test -list '^Fuzz' "$package" | grep '^Fuzz' || true); do
		echo "== $package $target"
		go test -run '^$' -fuzz "^$target\$" -fuzztime "${FUZZTIME:-10s}" -fuzzminimizetime 1s "$package"
	done
done
