#!/bin/sh
# Makes the Go code of the .proto files, into the folder given (default: here),
# and generated.sum, by which a test sees when either has changed alone.
# The generators are pinned in tools/go.mod; nothing else has to be installed.
set -eu
cd "$(dirname "$0")"
out=${1:-.}
tools=$(mktemp -d)
trap 'rm -rf "$tools"' EXIT
(cd ../tools && go build -o "$tools/" tool)
PATH="$tools:$PATH" buf generate --output "$out"
sums() { sha256sum buf.gen.yaml ../tools/go.mod v1/*.proto && (cd "$out" && sha256sum v1/*.pb.go); }
sums > "$tools/sum"
cp "$tools/sum" "$out/v1/generated.sum"
