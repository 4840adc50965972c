# `make demo` and `make test` are all a fresh clone needs: both make .venv first, and only when it is out of date.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
SHELL := /bin/bash

.PHONY: demo test docs studies bench bench-all lint clean help
.DEFAULT_GOAL := help

help: ## What can be made
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 18

demo: $(INSTALLED) ## Train a ViT and a CNN on handwritten digits, and report them side by side
	@$(BIN)/vitrail demo

test: $(INSTALLED) lint ## Check style and types, and run the tests
	@$(BIN)/python -m pytest -n auto --dist loadfile

docs: $(INSTALLED) ## Run the Annotated ViT and build the pages of docs/ into build/docs
	@$(BIN)/python docs/build.py

studies: $(INSTALLED) ## Carry out the quick version of every study, into runs/studies
	@scripts/quick-studies $(BIN) runs/studies

bench: $(INSTALLED) ## Measure speed beside other libraries
	@$(BIN)/python -m benchmarks.speed --out benchmarks/results/speed.json

bench-all: $(INSTALLED) ## The same, also for larger models and with everything compiled
	@$(BIN)/python -m benchmarks.speed --all --out benchmarks/results/speed-all.json

lint: $(INSTALLED) ## Check style and types
	@$(BIN)/ruff check --quiet
	@$(BIN)/ruff format --check --quiet || { echo "some files are not formatted: run $(BIN)/ruff format"; exit 1; }
	@$(BIN)/mypy --no-error-summary

clean: ## Remove what was installed and cached; runs are kept
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis build src/*.egg-info

$(INSTALLED): pyproject.toml constraints.txt
	@scripts/install $(PYTHON) $(VENV)
	@touch $@
