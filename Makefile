# `make sweep`: a first result from a fresh clone. `make test`: everything that is tested.
# PIP_ARGS is handed to pip, e.g. to choose the index of torch's CPU build.
PYTHON ?= python3
VENV ?= .venv
LENGTHS ?= 1k-64k
TIME ?= 10m
PIP_ARGS ?=
PYTEST_ARGS ?= -n 2
DEVICE ?= cuda
OUT ?=
WHEELS ?=
STEPS ?=
BIN := $(VENV)/bin

.PHONY: sweep test oracles lint style mypy pyright bench gpu clean

sweep: $(VENV)/installed
	$(BIN)/attnprof sweep --lengths $(LENGTHS) --time $(TIME)

test: $(VENV)/tested
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(PYTEST_ARGS) -m "not slow"

# Public implementations to compare with; without them their tests skip.
oracles: $(VENV)/tested
	$(BIN)/python -m pip install --quiet --no-deps $(PIP_ARGS) -r oracles.txt

# `make -j2 lint` has both type checkers at work at once.
lint: style mypy pyright

style: $(VENV)/tested
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

mypy: $(VENV)/tested
	$(BIN)/mypy

pyright: $(VENV)/tested
	$(BIN)/pyright --pythonpath $(BIN)/python

bench: $(VENV)/tested
	$(BIN)/python -m pytest tests/bench -m slow --benchmark-only

# The first half hour on a GPU, from a checkout with nothing installed: results, tables and one archive in OUT.
# DEVICE=cpu is a dry run; WHEELS is a folder of wheels for packages that are missing; STEPS=1,2 does some of the steps.
gpu:
	$(if $(OUT),,$(error make gpu needs OUT=DIR, the folder for the results))
	PYTHONPATH="$(CURDIR)$(if $(PYTHONPATH),:$(PYTHONPATH))" $(PYTHON) -m tests.gpu --out "$(OUT)" --device "$(DEVICE)" --steps "$(STEPS)" \
		$(if $(WHEELS),--wheels "$(WHEELS)")

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
