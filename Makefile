# `make demo` and `make test` set themselves up: .venv is filled from the hashed lock once, and again when the lock changes.
PYTHON ?= python3
BIN := .venv/bin
ARGS ?=
MAKEFLAGS += --no-print-directory
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_NO_INPUT := 1
# Compiled modules are kept, whatever the shell says: every test run and every node would compile them anew.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help demo dev test test-fast check bench lock fmt clean

help:
	@echo 'make demo       four firms share and prove shipments (ARGS="--once --json" ends by itself)'
	@echo 'make dev        two nodes on free ports'
	@echo 'make test       all tests; make test-fast: those that take less than a minute together'
	@echo 'make check      style, types, layers, budgets, docs'
	@echo 'make bench      figures (ARGS=--json, ARGS=--full)'
	@echo 'make fmt        format; make lock: write the locks anew (ARGS=--upgrade); make clean: remove all that make made'

demo: .venv/.stamp-run
	@$(BIN)/tally demo $(ARGS)

dev: .venv/.stamp-run
	@$(BIN)/python -m node.dev $(ARGS)

test: .venv/.stamp-dev
	@$(BIN)/python -m pytest $(ARGS)

test-fast: .venv/.stamp-dev
	@TALLY_EXAMPLES=fast $(BIN)/python -m pytest -q -n auto --dist loadfile -m 'not slow and not conformance and not crash and not bench' $(ARGS)

check: .venv/.stamp-dev
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/python -m pytest -q tests/test_architecture.py tests/test_budgets.py tests/test_packaging.py
	@$(BIN)/python -m tests.docs_check

bench: .venv/.stamp-dev
	@$(BIN)/python -m tests.bench $(ARGS)

fmt: .venv/.stamp-dev
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

# The build backend is locked with the rest, so that installing the project itself downloads nothing.
# No option may leave an index, a host or a folder of this machine in a lock.
COMPILE = CUSTOM_COMPILE_COMMAND='make lock' $(BIN)/pip-compile --quiet --generate-hashes --strip-extras --allow-unsafe \
	--no-emit-options --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --build-deps-for=editable $(ARGS)

lock: .venv/.stamp-dev
	@$(COMPILE) --output-file requirements.lock pyproject.toml
	@$(COMPILE) --extra dev --constraint requirements.lock --output-file requirements-dev.lock pyproject.toml

clean:
	@rm -rf .venv .dev.json build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	@find ledger contracts node tests -name __pycache__ -prune -exec rm -rf {} +

# --- set-up: everything it prints goes to stderr, because stdout belongs to the command asked for ---

.venv/pyvenv.cfg:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo 'Tallystick needs Python 3.11 or newer; name one: make PYTHON=python3.12 ...' >&2; exit 1; }
	@echo 'Setting up .venv from the lock (once, about a minute) ...' >&2
	@$(PYTHON) -m venv .venv >&2 \
		|| { rm -rf .venv; echo 'This Python cannot make a venv; on Debian: apt-get install python3-venv' >&2; exit 1; }

.venv/.stamp-run: requirements.lock pyproject.toml | .venv/pyvenv.cfg
	@$(BIN)/python -m pip install -qq --require-hashes -r requirements.lock >&2
	@$(BIN)/python -m pip install -qq --no-deps --no-build-isolation -e . >&2
	@touch $@

.venv/.stamp-dev: requirements-dev.lock requirements.lock pyproject.toml | .venv/pyvenv.cfg
	@$(BIN)/python -m pip install -qq --require-hashes -r requirements-dev.lock >&2
	@$(BIN)/python -m pip install -qq --no-deps --no-build-isolation -e . >&2
	@touch $@ .venv/.stamp-run
