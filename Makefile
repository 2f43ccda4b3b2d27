# make demo   the quickstart: install, train, export, verify, report
# make test   what CI runs: linters, types, import rules, tests
# make test-lowest, make test-newest   a part of the tests with the lowest and the newest versions that pyproject.toml allows
#
# Needs Python 3.11 or newer (another one: make demo PYTHON=python3.12). On x86 Linux PyPI's torch brings CUDA along; for the
# small CPU build: make demo PIP_ARGS="--extra-index-url https://download.pytorch.org/whl/cpu"

PYTHON ?= python3
PIP_ARGS ?=
JOBS ?= 2
VENV := .venv
BIN := $(VENV)/bin
OFFLINE := ORT_DISABLE_TELEMETRY=1 HF_HUB_OFFLINE=1 HF_DATASETS_OFFLINE=1 TOKENIZERS_PARALLELISM=false OMP_NUM_THREADS=1 MKL_NUM_THREADS=1

.DELETE_ON_ERROR:
.PHONY: demo test test-lowest test-newest lint clean

demo: $(VENV)/.demo
	$(BIN)/distill run quickstart

test: lint
	$(OFFLINE) $(BIN)/pytest -n $(JOBS) --dist worksteal

test-lowest test-newest: test-%: $(VENV)/.dev
	$(BIN)/python scripts/supply/versions.py $* --light --work $(VENV)/versions
	$(BIN)/python scripts/supply/versions.py $* --work $(VENV)/versions

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis

# One stamp per set of extras, newer than what it was installed from.
$(VENV)/.demo $(VENV)/.dev: $(VENV)/.%: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet $(PIP_ARGS) --constraint constraints.txt --editable '.[$*]'
	touch $@

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)
