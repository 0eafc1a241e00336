.DEFAULT_GOAL := help
.PHONY: help install verify test gpu report schema lint types imports check format clean

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CONSTRAINTS := $(if $(shell command -v nvidia-smi),constraints.txt,constraints-cpu.txt)
SHAPED := muse.nn,muse.models.phase7,muse.models.phase8,kernels,beartype.beartype
SUPPORTED := import sys; sys.exit(None if (3, 11) <= sys.version_info < (3, 14) else f"MUSE needs Python 3.11 to 3.13, not {sys.version.split()[0]}; try make PYTHON=python3.12")

help:  ## Print these recipes
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(VENV)/installed  ## Make .venv with everything in it

$(VENV)/installed: pyproject.toml constraints.txt constraints-cpu.txt
	@$(PYTHON) -c '$(SUPPORTED)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c $(CONSTRAINTS) -e '.[dev]'
	touch $@

verify: install  ## Decide every claim that this machine can, and render the reports of the run
	$(BIN)/muse verify

test: install  ## Unit tests and every claim that needs no GPU
	$(BIN)/python -m pytest tests/unit tests/claims -n 2 --jaxtyping-packages=$(SHAPED)

gpu: install  ## On a GPU: measure every claim that needs one, and check the memory harness
	$(BIN)/python -m pytest tests/vram tests/claims -m gpu --require-gpu

report: install  ## Rewrite the committed reports from committed evidence
	$(BIN)/muse report

schema: install  ## Rewrite the claim files' JSON Schema
	$(BIN)/muse schema > tests/claims/schema.json

lint: install  ## Style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install  ## Types
	$(BIN)/mypy

imports: install  ## The rooms' import contracts
	$(BIN)/lint-imports

check: lint types imports  ## All three

format: install  ## Let ruff mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:  ## Remove the environment and this machine's runs
	rm -rf $(VENV) .muse
