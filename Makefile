# `make sweep`: a first result from a fresh clone. `make test`: everything that is tested.
# PIP_ARGS is handed to pip, e.g. to choose the index of torch's CPU build.
PYTHON ?= python3
VENV ?= .venv
LENGTHS ?= 1k-64k
PIP_ARGS ?=
PYTEST_ARGS ?= -n 2
BIN := $(VENV)/bin

.PHONY: sweep test oracles lint bench clean

sweep: $(VENV)/installed
	$(BIN)/attnprof sweep --lengths $(LENGTHS)

test: $(VENV)/tested
	$(BIN)/python -m pytest $(PYTEST_ARGS) -m "not slow"

# Public implementations to compare with; without them their tests skip.
oracles: $(VENV)/tested
	$(BIN)/python -m pip install --quiet --no-deps $(PIP_ARGS) -r oracles.txt

lint: $(VENV)/tested
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

bench: $(VENV)/tested
	$(BIN)/python -m pytest tests/bench -m slow --benchmark-only

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: $(VENV)/bin/python pyproject.toml setup.py constraints.txt
	$(BIN)/python -m pip install --quiet $(PIP_ARGS) -c constraints.txt -e .
	touch $@

$(VENV)/tested: $(VENV)/installed
	$(BIN)/python -m pip install --quiet $(PIP_ARGS) -c constraints.txt -e ".[test]"
	touch $@

clean:
	rm -rf $(VENV) build *.egg-info
