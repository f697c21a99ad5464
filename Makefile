# make demo    install, then pre-train and score on a synthetic corpus (AUDIO=/folder: on your speech)
# make test    install, then run all tests;  make test-fast: those of a minute;  make check: linters and types
# make soak    kills of runs of every kind, a watch of their memory (docs/soak.md), changed files
# make results the longer experiments behind the README's numbers (SPEECH=folder of FSDD wavs)

VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= python3.11
PIP := $(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt
INSTALLED := $(VENV)/.installed
# files of tests go to as many processes as there are cores; each has its own corpus and checkpoint
PARALLEL := -n auto --maxprocesses 4 --dist loadfile
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: help demo test test-fast check results soak tables install
.DEFAULT_GOAL := help

help:
	@sed -n 's/^# //p' Makefile

install: $(INSTALLED)

$(INSTALLED): setup.py constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) torch numpy cython cffi setuptools wheel
	$(PIP) --no-build-isolation fairseq-fixed
	$(PIP) --no-build-isolation -e '.[all]'
	touch $@

demo: $(INSTALLED)
	scripts/demo.sh $(if $(AUDIO),'$(AUDIO)')

test: check
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(PARALLEL)

test-fast: $(INSTALLED)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(PARALLEL) -m 'not (fairseq or s3prl or slow)'

check: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy fairseq_budget scripts
	$(BIN)/lint-imports
	$(BIN)/python scripts/write_presets.py --check
	$(BIN)/python scripts/write_tables.py --check
	$(BIN)/codespell README.md CHANGELOG.md CONTRIBUTING.md docs examples fairseq_budget scripts tests

results: $(INSTALLED)
	scripts/results.sh '$(SPEECH)'
	$(BIN)/python scripts/write_tables.py

soak: $(INSTALLED)
	OMP_NUM_THREADS=1 $(BIN)/python scripts/soak.py --work results/soak --out docs/soak.md
	$(BIN)/python scripts/fuzz.py --minutes 10 --work results/fuzz

tables: $(INSTALLED)
	$(BIN)/python scripts/write_presets.py
	$(BIN)/python scripts/write_tables.py
