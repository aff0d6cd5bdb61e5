#!/bin/sh
# Rewrites golden files, vectors and generated documents: runs the tests of
# every package that knows the -update flag with it.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"
packages=$(sh scripts/go.sh list -f '{{.ImportPath}} {{.TestImports}} {{.XTestImports}}' ./... |
	grep internal/testenv | cut -d ' ' -f 1)
# shellcheck disable=SC2086 # one word a package
sh scripts/go.sh test -count=1 $packages -update
