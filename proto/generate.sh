#!/bin/sh
# Regenerates the committed stubs from proto/ignite_compute.proto:
#     proto/generate.sh [OUTPUT_DIRECTORY]
# PYTHON names the interpreter that has grpcio-tools (the `dev` extra); the default is the one on the PATH.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
out=${1:-"$here/../shipper/ignite/pb"}
mkdir -p "$out"
exec "${PYTHON:-python3}" -m grpc_tools.protoc -I "$here" --python_out="$out" --pyi_out="$out" ignite_compute.proto
