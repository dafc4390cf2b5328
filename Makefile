# make install | quickstart | test | benchmark | mutants | figures: all that a fresh
# machine with Python 3.11+ needs. PYTHON=... chooses the interpreter, VENV=... the
# environment.

VENV ?= .venv
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& echo $$python && break; done)

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
# The pinned versions of this Python; of the newest one that is pinned, if it is newer.
PINS = $$($(BIN)/python -c 'import sys; m = min(sys.version_info.minor, 13); \
	print(f"constraints/py3{m}.txt")')
SPECIFICATION := pyproject.toml $(wildcard constraints/*.txt)

.PHONY: install quickstart test lint benchmark mutants figures clean

install: $(VENV)/.installed

quickstart: install
	$(BIN)/icrl run quickstart

test: lint
	$(BIN)/python -m pytest -q -n 2 --dist worksteal

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

benchmark: $(VENV)/.installed-benchmark
	for name in linucb ucb_vi training step_profile decoding state_queries \
		online; do \
		$(BIN)/python -m benchmarks.$$name || exit 1; done

mutants: $(VENV)/.installed-mutation
	$(BIN)/python tests/mutants.py --number 60 --seed 0

figures: install
	for run in results/*/; do $(BIN)/icrl figure $$(basename $$run) || exit 1; done

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache

$(BIN)/python:
	@if [ -z "$(PYTHON)" ]; then \
		echo "icrl needs Python 3.11 or newer; found none (make PYTHON=...)" >&2; \
		exit 2; \
	fi
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "icrl needs Python 3.11 or newer; $(PYTHON) is older" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 2; }

$(VENV)/.installed: $(BIN)/python $(SPECIFICATION)
	$(PIP) -c $(PINS) -e .
	@touch $@

$(VENV)/.installed-dev: $(BIN)/python $(SPECIFICATION)
	$(PIP) -c $(PINS) -e ".[dev,tensorboard]"
	@touch $@ $(VENV)/.installed

$(VENV)/.installed-benchmark: $(BIN)/python $(SPECIFICATION)
	$(PIP) -c $(PINS) -e ".[benchmark]"
	@touch $@ $(VENV)/.installed

$(VENV)/.installed-mutation: $(BIN)/python $(SPECIFICATION)
	$(PIP) -c $(PINS) -e ".[dev,tensorboard,mutation]"
	@touch $@ $(VENV)/.installed-dev $(VENV)/.installed
