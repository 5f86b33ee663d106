# Durable Streams for nginx. `make` alone explains the goals.

SHELL := /bin/bash
BUILD := swift build -c release
BINARY := .build/release/durable-streams
PYTHON := .venv/bin/python
STACK_WORKERS ?= 3

SERVER_PACKAGES := nginx libfcgi-dev libsqlite3-dev libssl-dev libxxhash-dev libcurl4-openssl-dev pkg-config libjs-dygraphs
DEB_PACKAGES := binutils dpkg-dev patchelf
COUNT_PACKAGES := binutils strace valgrind
BENCH_PACKAGES := wrk python3-venv
# For a machine of its own on which the package is tried: debootstrap, lintian, systemd.
TEST_PACKAGES := chromium debootstrap lintian mandoc systemd $(BENCH_PACKAGES) $(COUNT_PACKAGES) $(DEB_PACKAGES)
# Never without being asked: where systemd runs, Redis would start a server of its own.
PEER_PACKAGES := redis-server libnginx-mod-nchan

.PHONY: help
help: ## Show this help
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "make %-11s %s\n", $$1, $$2 }'

.PHONY: run
run: build ## Install what is missing, build, and run the server in the foreground (DS_DATA_DIR, default ./data)
	@DS_DATA_DIR="$${DS_DATA_DIR:-./data}" exec $(BINARY) serve

.PHONY: packages
packages:
	@.ci/install-packages $(SERVER_PACKAGES)

.PHONY: build
build: packages ## Build the server and its helpers with optimisation
	@$(BUILD) --product durable-streams
	@$(BUILD) --product durable-streams-worker
	@$(BUILD) --product durable-streams-live

.venv/.installed: Tests/Stack/requirements.txt
	@.ci/install-packages $(TEST_PACKAGES)
	python3 -m venv .venv
	$(PYTHON) -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@

# Tests use no @testable import, so that they share the optimised build with the server instead of compiling
# every dependency a second time.
.PHONY: test
test: build .venv/.installed ## Run the Swift tests, then the tests against the whole stack
	swift test -c release --disable-testable-imports
	$(PYTHON) -m pytest Tests/Stack -q -n $(STACK_WORKERS)

.PHONY: deb
deb: build ## Make the Debian package, in .build/deb
	@.ci/install-packages $(DEB_PACKAGES)
	@python3 Config/debian/build-deb.py

.PHONY: bench-programs
bench-programs: build
	@.ci/install-packages $(BENCH_PACKAGES)
	@$(BUILD)

# Peers are optional: the table says which are missing.
.venv-bench/.installed: Tests/Bench/requirements-peers.txt
	@if python3 -m venv .venv-bench && \
	    .venv-bench/bin/python -m pip install --quiet --disable-pip-version-check --retries 1 --timeout 10 -r $<; \
	then touch $@; else echo "the benchmark goes without the peers of $<" >&2; fi

.PHONY: bench-peers
bench-peers: .venv-bench/.installed ## Install what the benchmark runs beside this server: Redis, nchan, rakaia-streams
	@.ci/install-packages $(PEER_PACKAGES)

.PHONY: bench
bench: bench-programs .venv-bench/.installed ## Run the benchmark (minutes): a table, and files in .build/bench
	python3 Tests/Bench/bench.py

.PHONY: bench-all
bench-all: bench-programs .venv-bench/.installed ## Run all figures: also purge, rotation, backup, forks, replay, scale (half an hour)
	python3 Tests/Bench/bench.py --all

.PHONY: bench-hour
bench-hour: bench-programs ## Measure memory through an hour of mixed load at a low rate
	python3 Tests/Bench/bench.py --only endurance

.PHONY: profile
profile: build ## Print where the instructions of an append and of a read go, by function
	@.ci/install-packages $(COUNT_PACKAGES)
	@python3 Tests/Stack/profile_requests.py

.PHONY: counts
counts: build ## Count what requests cost, and make that the measure of the tests (Tests/Stack/counted_costs.json)
	@.ci/install-packages $(COUNT_PACKAGES)
	@python3 Tests/Stack/counts.py --set

.PHONY: format
format: ## Format the Swift files in place
	swift format --in-place --parallel --recursive Sources Tests Package.swift

.PHONY: lint
lint: ## Check the format, and who imports whom
	swift format lint --strict --parallel --recursive Sources Tests Package.swift
	python3 .ci/check-imports.py

.PHONY: man
man: build ## Write the manual page, durable-streams.1, into .build
	$(BINARY) man >.build/durable-streams.1

.PHONY: clean
clean: ## Remove everything that was built; data stays
	rm -rf .build .build-* .venv .venv-bench
