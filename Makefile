# Few labels, whole maps. `make help` lists what there is; nothing has to be installed before.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PROFILE ?= quick
DATA ?= $(if $(filter published,$(PROFILE)),dubai,synthetic)
DEVICE ?= auto
STUDY ?= E
export SCHEDULER
PYTHON ?= python3

# One environment a lock and Python: in the checkout, or shared between checkouts where CI is set.
LOCK := $(shell cat requirements.lock pyproject.toml | cksum | cut -d' ' -f1)
VENV := $(if $(CI),$(HOME)/.cache/fewlabels/venv-$(LOCK),.venv)
BIN := $(VENV)/bin
READY := $(VENV)/.ready-$(LOCK)-$(shell pwd | cksum | cut -d' ' -f1)
export PYTHONUNBUFFERED := 1
export PYTHONDONTWRITEBYTECODE :=  # compiled once: torch and its companions take 20 s to compile

.PHONY: help setup data report sweep test check lab smoke sync lock clean

define HELP
make TARGET [OPTION=value ...]. Only Python 3.11 to 3.13 has to be there; .venv is made first.

Options of report, smoke, sweep and data:
  DATA=synthetic      data set: synthetic, dubai (real images), folder (your own), ... (data/README.md)
  PROFILE=quick       how much is run: smoke (does it work), quick (minutes), full (a GPU's work),
                      home (each system's own settings), published (the records, trains nothing)
  DEVICE=auto         or cpu, cuda, mps, xla
  STUDY=E             of sweep: A, B, C, D, E, budget, ...
  WORKERS=4           of sweep: processes here; or SCHEDULER=tcp://HOST:PORT
  PYTHON=python3.12   what .venv is made with

Examples:
  make report                           the report on synthetic scenes
  make report DATA=dubai                the same on real images
  make sweep STUDY=budget DATA=dubai PROFILE=full
  .venv/bin/fewlabels example try       map a scene of your own (fewlabels --help)
endef
export HELP

help: ## say what there is
	@echo "$$HELP"; echo; echo "Targets:"
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  \1\t\2/p' Makefile | expand -t 12

setup: $(READY) ## make the Python environment (.venv) from requirements.lock

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v < (3, 14) else f"Python 3.11 to 3.13 is needed, {sys.executable} is {v[0]}.{v[1]}; name another with PYTHON=...")'
	@echo "setting up $(VENV): about 6 GB, from seconds to some minutes"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "python3 -m venv failed; on Debian: apt install python3-venv" >&2; exit 1; }
	@if $(BIN)/python -m pip install --quiet --disable-pip-version-check uv; then \
	  $(BIN)/uv pip install --python $(BIN)/python -r requirements.lock && \
	  $(BIN)/uv pip install --python $(BIN)/python --quiet --no-deps -e .; \
	else \
	  echo "uv is not to be had, going on with pip"; \
	  $(BIN)/python -m pip install --disable-pip-version-check -r requirements.lock && \
	  $(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps -e .; \
	fi
	@rm -f $(VENV)/.ready-* && touch $@

data: setup ## fetch and decode DATA
	@$(BIN)/fewlabels data $(DATA)

report: setup ## execute the notebooks on DATA at PROFILE, build report/_build/report.html and .pdf
	@$(BIN)/fewlabels report --data $(DATA) --profile $(PROFILE) --device $(DEVICE)

sweep: setup ## train the missing runs of STUDY at once, here or on the workers of SCHEDULER
	@$(BIN)/fewlabels sweep $(STUDY) --data $(DATA) --profile $(PROFILE) --device $(DEVICE) $(if $(WORKERS),--workers $(WORKERS))

test: setup ## run the tests, their files over the cores
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder

check: setup ## ruff, and notebook pairs in step
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/python -m pytest tests/test_notebooks.py -k pairs

lab: setup ## open JupyterLab on the notebooks
	@$(BIN)/jupyter lab --notebook-dir=. notebooks

smoke: setup ## the whole chain, tiny: every notebook, every run four steps
	@$(BIN)/fewlabels report --data $(DATA) --profile smoke --device $(DEVICE)

sync: setup ## bring NN.py and NN.ipynb in step, without outputs, and report/api.md up to date
	@$(BIN)/jupytext --quiet --sync notebooks/*.py
	@$(BIN)/jupyter nbconvert --log-level=ERROR --clear-output --inplace notebooks/*.ipynb
	@touch notebooks/*.py
	@$(BIN)/python -c 'from fewlabels.report import api; api.write()'

lock: setup ## resolve requirements.in into requirements.lock
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --no-header --no-annotate --no-emit-index-url --generate-hashes -o requirements.lock requirements.in

clean: ## remove what was built: reports, runs, decoded tiles (data and .venv stay)
	rm -rf report/_build runs data/cache
