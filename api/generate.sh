#!/bin/sh
# Makes the Go code of the .proto files, into the folder given (default: here).
# The generators are pinned in tools/go.mod; nothing else has to be installed.
set -eu
cd "$(dirname "$0")"
out=${1:-.}
tools=$(mktemp -d)
trap 'rm -rf "$tools"' EXIT
(cd ../tools && go build -o "$tools/" tool)
PATH="$tools:$PATH" buf generate --output "$out"
