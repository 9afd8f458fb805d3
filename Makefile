# Every target bootstraps what it needs: Python >= 3.11, Go, a C compiler, make and apt are enough.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV   := .venv
RUN    := $(VENV)/bin/python
STAMP  := $(VENV)/.synced
TARGET ?=
REGISTRY ?=
# What a user's cluster needs; the demo and the tests build seaweedfs and prometheus beside them.
IMAGES ?= operator trainer serving

export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)

.PHONY: help demo test test-e2e test-fast prove lint fmt generate verify cluster-up cluster-down \
        cluster-status images load push bench conformance clean

help: ## Show this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  \033[36m%-15s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/bin/uv:
	@echo "==> creating $(VENV)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python >= 3.11 is needed, $(PYTHON) is older: set PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "python3-venv is missing: apt-get install python3-venv" >&2; exit 1; }
	@$(VENV)/bin/pip install --quiet --disable-pip-version-check uv

$(STAMP): $(VENV)/bin/uv pyproject.toml uv.lock
	@echo "==> installing the locked dependencies"
	@$(VENV)/bin/uv sync --quiet --frozen --inexact --all-extras --all-groups --no-group gateway
	@touch $(STAMP)

demo: $(STAMP) ## Train, gate, register and serve a model on a real local Kubernetes
	@$(RUN) -m demo

# What fails soonest comes first; builds come when a tier needs them, and show how far they are.
# The tests of a file share what takes long to make, and the longest files begin first.
SIDE_BY_SIDE := --dist loadfile --no-loadscope-reorder
FAST := tests/simulation tests/unit tests/conformance

test: test-fast $(STAMP) ## Everything: unit tests, simulation, a real API server, the product on a real node
	@$(RUN) -m pytest -n 3 $(SIDE_BY_SIDE) -m "not bench" --durations=15 tests/api
	@$(RUN) -m pytest -v -m "not prove" --durations=15 tests/e2e

test-e2e: $(STAMP) ## Only the product on the local Kubernetes (root, Linux)
	@$(RUN) -m pytest -v -m "not prove" --durations=15 tests/e2e

test-fast: $(STAMP) ## Unit tests and simulation only: no cluster, no root
	@$(RUN) -m pytest -n auto --maxprocesses 4 $(SIDE_BY_SIDE) -m "not bench" --durations=15 $(FAST)

prove: $(STAMP) ## The full counts: 20,000 schedules, 1,000 crashes, every kill and fault, 100,000 requests (takes hours)
	@MODELYARD_SCHEDULES=20000 MODELYARD_CRASHES=1000 MODELYARD_KILLS=all MODELYARD_FAULTS=all \
	  MODELYARD_REQUESTS=100000 MODELYARD_ROLLBACKS=50 \
	  $(RUN) -m pytest -s tests/simulation tests/unit/store tests/api/test_kills.py tests/api/test_faults.py \
	  tests/e2e/test_proof.py

lint: $(STAMP) ## ruff, mypy, import contracts
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/mypy
	@$(VENV)/bin/lint-imports

fmt: $(STAMP) ## Format and fix what can be fixed
	@$(VENV)/bin/ruff check --fix . || true
	@$(VENV)/bin/ruff format .

generate: $(STAMP) ## Write CRDs, chart copies and reference docs from the models
	@$(RUN) -m modelyard.codegen

verify: $(STAMP) ## Fail if generated files differ from their source
	@$(RUN) -m modelyard.codegen --check

cluster-up: $(STAMP) ## Start the local Kubernetes and print how to reach it
	@$(RUN) -m localcluster up

cluster-down: $(STAMP) ## Stop the local Kubernetes; nothing stays behind
	@$(RUN) -m localcluster down

cluster-status: $(STAMP) ## Say whether the local Kubernetes runs
	@$(RUN) -m localcluster status

images: $(STAMP) ## Build the container images (IMAGES="operator trainer serving")
	@$(RUN) -m localcluster images $(IMAGES)

load: $(STAMP) ## Load the built images into the local Kubernetes
	@$(RUN) -m localcluster load $(IMAGES)

push: $(STAMP) ## Push the images to REGISTRY=host/path
	@test -n "$(REGISTRY)" || { echo "say where: make push REGISTRY=registry.example/modelyard" >&2; exit 2; }
	@$(RUN) -m localcluster push --registry "$(REGISTRY)" $(IMAGES)

bench: $(STAMP) ## Measure the figures of the README
	@$(RUN) -m tests.bench

conformance: $(STAMP) ## Ask a TF-Serving at TARGET=host:grpc-port REST=host:rest-port what the stand-in answers
	@test -n "$(TARGET)" || { echo "say which: make conformance TARGET=host:8500 REST=host:8501" >&2; exit 2; }
	@$(RUN) -m pytest tests/conformance --target "$(TARGET)" --rest-target "$(REST)"

clean: $(STAMP) ## Stop the demo's cluster, remove it and the environment; built programs stay cached
	@$(RUN) -m localcluster down --name yard
	@$(RUN) -c 'from localcluster.folders import cache_root; \
	  print(f"Built programs and images stay in {cache_root()}: delete it to build them anew.")'
	@rm -rf $(VENV) figures .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
