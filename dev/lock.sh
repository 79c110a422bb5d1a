#!/usr/bin/env bash
# Pins every dependency with its hashes, for every platform and Python from 3.11 on:
#   requirements.lock             what this repository is developed and tested with
#   requirements-base.lock        the part of it that a plain `pip install stepwell` needs
#   bench/peers/*.lock            what the peers need that `make bench` compares with
# Pins stay as they are unless pyproject.toml asks for more, or `--upgrade` is given.
# No file names an index, so a mirror serves as well as the original.
set -euo pipefail
cd "$(dirname "$0")/.."

compile() {
    .venv/bin/uv pip compile --quiet --universal --python-version 3.11 \
        --generate-hashes --custom-compile-command "make lock" "$@"
}

compile pyproject.toml --all-extras --group dev --output-file requirements.lock "$@"
compile pyproject.toml --constraint requirements.lock --output-file requirements-base.lock "$@"
for peers in bench/peers/*.in; do
    compile "$peers" --output-file "${peers%.in}.lock" "$@"
done
