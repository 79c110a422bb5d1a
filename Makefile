# Every job of this repository. `make` lists them; each sets up what it needs by itself.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules --no-print-directory
# Tests start hundreds of processes: each would compile again what none may write down.
unexport PYTHONDONTWRITEBYTECODE

# Any Python from 3.11 on: make setup PYTHON=python3.12
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
ONLY ?=
SEEDS ?= 2000
KILLS ?= 20
CHANGES ?= 1000
MUTANTS ?= 0
FUZZ ?= 10000
FUZZ_SEED ?= 1
CLIENTS ?= 500
MINUTES ?= 5
UPGRADE ?=

##@ Start

.PHONY: help
help: ## List what make can do
	@awk 'BEGIN { FS = ":.*## " } \
		/^##@/ { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: setup
setup: .venv/project.stamp ## Create .venv with everything pinned, and this project in it

.PHONY: demo
demo: setup ## Watch a run survive a killed daemon: no key, no network
	@$(BIN)/stepwell demo

.PHONY: run
run: setup ## Serve gRPC and MCP from one process
	@exec $(BIN)/stepwell up

.PHONY: mcp
mcp: setup ## Speak MCP on standard input and output
	@exec $(BIN)/stepwell mcp

##@ Check

.PHONY: check
check: lint types imports verify test ## Everything a change has to pass

.PHONY: fmt
fmt: setup ## Format the code and the protos, and repair what ruff can
	$(BIN)/ruff check --fix-only --quiet
	$(BIN)/ruff format
	$(BIN)/buf format --write proto

.PHONY: lint
lint: setup ## Check format and style
	$(BIN)/ruff format --check
	$(BIN)/ruff check

.PHONY: types
types: setup ## Check types with mypy (strict) and basedpyright
	$(BIN)/mypy
	$(BIN)/basedpyright

.PHONY: imports
imports: setup ## Check that imports run downwards
	$(BIN)/lint-imports --no-logo

.PHONY: verify
verify: setup ## Prove the generated code fresh, and the protos clean and compatible
	$(BIN)/python dev/proto.py verify

##@ Test

.PHONY: test
test: setup ## Run the whole test suite, a file on each core and one more
	$(BIN)/pytest --numprocesses logical --dist loadfile --no-loadscope-reorder

.PHONY: test-fast
test-fast: setup ## Run the tests that need no process, socket or database file
	$(BIN)/pytest tests/unit tests/property

.PHONY: sim
sim: setup ## Run the simulation over SEEDS=2000 seeded worlds
	STEPWELL_SIM_SEEDS=$(SEEDS) $(BIN)/pytest tests/simulation

.PHONY: mutants
mutants: setup ## Change the core in small ways, and see what no test notices (MUTANTS=200 of them)
	$(BIN)/python dev/mutants.py --sample $(MUTANTS) $(ONLY)

.PHONY: crash
crash: setup ## Kill real daemons KILLS=20 times under load, into bench/results/crash.json
	STEPWELL_CRASH_KILLS=$(KILLS) STEPWELL_CRASH_REPORT=bench/results/crash.json \
		$(BIN)/pytest -m crash tests/e2e

.PHONY: changes
changes: setup ## Make CHANGES=1000 random changes of databases on each engine, and take them back
	STEPWELL_CHANGES=$(CHANGES) $(BIN)/pytest tests/contract/writes/test_random_changes.py

.PHONY: fuzz
fuzz: setup ## Send FUZZ=10000 damaged and random requests through the MCP door
	FUZZ=$(FUZZ) FUZZ_SEED=$(FUZZ_SEED) $(BIN)/pytest tests/e2e/test_fuzz.py

.PHONY: soak
soak: setup ## Keep CLIENTS=500 MCP clients busy for MINUTES=5, and see memory stay flat
	$(BIN)/python -m bench.soak --clients $(CLIENTS) --minutes $(MINUTES)

.PHONY: docs
docs: setup ## Prove that the documents run and leave nothing out
	$(BIN)/pytest tests/docs

.PHONY: conformance
conformance: setup ## Run the official MCP conformance suite (needs Node 22)
	dev/conformance.sh

.PHONY: real-servers
real-servers: setup ## Put MCP servers that others publish behind ours (needs Node 20)
	$(BIN)/python dev/real_servers.py
	$(BIN)/pytest tests/e2e/test_real_servers.py

.PHONY: bench
bench: setup ## Measure, into bench/results/latest.json (ONLY="sqlite peers" for some parts)
	$(BIN)/python -m bench $(ONLY)

##@ Make

.PHONY: proto
proto: setup ## Generate the code of the protos
	$(BIN)/python dev/proto.py generate

.PHONY: reference
reference: setup ## Write docs/reference from the tables in the code
	$(BIN)/python -m stepwell_server.cli.reference docs/reference

.PHONY: lock
lock: setup ## Pin the dependencies again (UPGRADE=1 takes the newest of each)
	dev/lock.sh $(if $(UPGRADE),--upgrade)

.PHONY: package
package: setup ## Build the wheel, a bundle for desktop hosts and the registry's entry into dist/
	$(BIN)/python dev/package.py

.PHONY: clean
clean: ## Delete caches and builds, but not .venv
	rm -rf build dist third_party .import_linter_cache .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +

# Stamps, so that setting up twice costs nothing.

.venv/lock.stamp: requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Stepwell needs Python 3.11 or newer; name one: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes --requirement $<
	@touch $@

.venv/project.stamp: .venv/lock.stamp pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	$(BIN)/python -m compileall -q runtime server storage mcp_server
	@touch $@
