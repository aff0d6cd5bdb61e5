#!/bin/sh
# Puts the validators that test/oracles.txt names into .oracles/, where tests
# look for them. Needs python3 with venv, and the network.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
python3 -m venv "$root/.oracles"
"$root/.oracles/bin/pip" install --quiet --disable-pip-version-check -r "$root/test/oracles.txt"
