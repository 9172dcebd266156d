# The project's commands. They need GNU make, a POSIX shell and Python 3.11 or later; everything else is installed into
# .venv from requirements-dev.txt, by hash.

SHELL := /bin/sh
.DEFAULT_GOAL := help

# The first of these that is new enough; `make PYTHON=/path/to/python …` chooses another.
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$python" && break; done)
VENV := .venv/bin
# What the installed packages were installed from; a changed lock installs again.
INSTALLED := .venv/.installed-requirements-dev.txt
# `make up ARGS=--once`, `make test ARGS="-k outbox"`.
ARGS ?=

.PHONY: help
help:  ## List these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: up
up: .installed  ## Start everything on this machine, place two orders, serve until Ctrl-C (ARGS=--once ends after them)
	@exec $(VENV)/python -m local.up $(ARGS)

.PHONY: demo
demo: .installed  ## Start everything, place two orders, end; status 0 when both ended as they should
	@exec $(VENV)/python -m local.up --once

.PHONY: test
test: .installed  ## Run the tests on a Postgres and a Valkey of their own (some ten minutes on two cores)
	@exec $(VENV)/python -m pytest -n 2 --dist loadgroup tests $(ARGS)

.PHONY: proof
proof: .installed  ## Prove the promises on real processes: crashes, faults, a drill, simulation, fuzz (budget: 20 minutes)
	@exec $(VENV)/python -m local.proof $(ARGS)

.PHONY: nightly
nightly: .installed  ## The same with more seeds, orders and pairs of crashes, on both brokers (hours)
	@exec $(VENV)/python -m local.proof --nightly $(ARGS)

.PHONY: sabotage
sabotage: .installed  ## Remove each guard once and show which test catches it (ARGS="--only epoch,stock_guard" for some)
	@exec $(VENV)/python -m tests.sabotage $(ARGS)

.PHONY: check
check: .installed  ## Check format, lint, types, import rules, migrations, settings, locks and the compose file
	@exec $(VENV)/python -m local.checks $(ARGS)

.PHONY: format
format: .installed  ## Format the code and put imports in order
	@$(VENV)/python -m ruff check --fix-only --quiet .
	@$(VENV)/python -m ruff format .

.PHONY: lock
lock: .installed  ## Write requirements*.txt from requirements*.in, with hashes (ARGS=--upgrade takes newer versions)
	@exec $(VENV)/python -m local.lock $(ARGS)

# `make drill SEED=2 BROKER=amqp`, and ARGS="--orders 500 --minutes 0.75"; `make drill ARGS=--help` tells the rest.
SEED ?= 1
BROKER ?= redis
.PHONY: drill
drill: .installed  ## Kill, wipe, cut and freeze the service under orders, and audit what is left (SEED=1 BROKER=redis|amqp)
	@exec $(VENV)/python -m local.drill --seed $(SEED) --broker $(BROKER) $(ARGS)

# `make bench BENCH=p1`, or BENCH="p1 p5"; all of P1–P9 without.
BENCH ?=
.PHONY: bench
bench: .installed  ## Measure P1–P9 side by side with their peers (BENCH=p1 for one; some 30 minutes for all)
	@exec $(VENV)/python -m benchmarks $(BENCH)

.PHONY: reset
reset:  ## Forget the local databases, passwords, ports and logs
	@if [ -x $(VENV)/python ]; then exec $(VENV)/python -m local.reset; else rm -rf .local; fi

.PHONY: .installed
.installed:
	@[ -x $(VENV)/python ] && cmp -s requirements-dev.txt $(INSTALLED) || $(MAKE) --no-print-directory .install

.PHONY: .install
.install:
	@if [ -z "$(PYTHON)" ]; then \
		echo "Python 3.11 or later is needed and none was found: install it, or say make PYTHON=/path/to/python." >&2; exit 1; fi
	@case "$$($(PYTHON) -c 'import sys; print("%s %d.%d" % (("old", "new")[sys.version_info >= (3, 11)], sys.version_info[0], sys.version_info[1]))' 2>/dev/null)" in \
		new\ *) ;; \
		old\ *) echo "$(PYTHON) is older than Python 3.11: say make PYTHON=/path/to/a/newer/python." >&2; exit 1;; \
		*) echo "$(PYTHON) is not a Python that runs: say make PYTHON=/path/to/python (3.11 or later)." >&2; exit 1;; esac
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "$(PYTHON) cannot create virtual environments: install its venv module (Debian: apt install python3-venv)." >&2; \
		exit 1; }
	@echo "Installing the locked requirements into .venv (once; a minute or two)"
	@# One that was cut off half-way, or whose Python is gone, is made anew.
	@$(VENV)/python -c 'import pip' 2>/dev/null || $(PYTHON) -m venv --clear .venv
	@$(VENV)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@cp requirements-dev.txt $(INSTALLED)
