# Everything a person or CI does here. `make` lists it.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# Modules are compiled when they are first imported; most never are.
INSTALL := $(BIN)/python -m pip install --quiet --no-compile
RUNS ?= outputs

.DEFAULT_GOAL := help
.PHONY: help quickstart test test-ray lint format types docs build hooks clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# The stamps are newer than pyproject.toml once its dependencies are installed.
$(VENV)/.installed: pyproject.toml
	@echo "installing nasgan and what it needs into $(VENV): several minutes, about 6 GB"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(INSTALL) --editable .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(INSTALL) --editable '.[dev]'
	@touch $@

$(VENV)/.installed-docs: $(VENV)/.installed
	$(INSTALL) --editable '.[docs]'
	@touch $@

quickstart: $(VENV)/.installed  ## install, then run the main job on the embedded data (3 minutes)
	$(BIN)/nasgan search
	$(BIN)/nasgan leaderboard runs=$(RUNS) out=leaderboard.csv

test: $(VENV)/.installed-dev  ## install, then run the tests
	$(BIN)/python -m pytest --numprocesses=2 --dist=worksteal

$(VENV)/.installed-ray: $(VENV)/.installed-dev
	$(BIN)/python -m pip install --quiet --editable '.[ray]'
	@touch $@

test-ray: $(VENV)/.installed-ray  ## install Ray, too, and run the tests that need it
	$(BIN)/python -m pytest -m ray tests/supervisor tests/evaluation/executors tests/engine

lint: $(VENV)/.installed-dev  ## ruff: style and likely faults
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(VENV)/.installed-dev  ## rewrite the code in the house style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(VENV)/.installed-dev  ## mypy --strict
	$(BIN)/mypy

docs: $(VENV)/.installed-docs  ## build the documentation into site/, which opens without a server
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

build: $(VENV)/.installed-dev  ## sdist and wheel into dist/
	$(BIN)/python -m build --outdir dist .

hooks: $(VENV)/.installed-dev  ## run the checks before each commit
	$(BIN)/pre-commit install

clean:  ## remove the environment, builds and caches; results in outputs/ stay
	rm -rf $(VENV) dist build site .pytest_cache .mypy_cache .ruff_cache
