# Everything is set up on first use: .venv for the gateway and its tools, .venv-vllm for the engine (vLLM on the CPU).
# `make` alone lists the targets.

PYTHON ?= python3
BIN    := .venv/bin
SETUP  := .venv/.ready
ENGINE := .venv-vllm/.ready

.PHONY: help setup engine run test unit e2e check bench format clean

help: ## list the targets
	@grep -E '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | sort | awk -F '\t' '{printf "  make %-12s %s\n", $$1, $$2}'

$(SETUP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("ThinkGate needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Set PYTHON=/path/to/python3.11.") if sys.version_info < (3, 11) else None'
	@echo "[1/2] Python environment .venv (about 10 s)"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install -q --disable-pip-version-check --root-user-action ignore uv==0.13.9
	@echo "[2/2] gateway, tools and tests into .venv (about 30 s; 400 MB)"
	@$(BIN)/uv pip install -q -p $(BIN)/python -c constraints.txt -e '.[dev]'
	@touch $@

$(ENGINE): deploy/engine/install.sh $(SETUP)
	@UV=$(BIN)/uv bash deploy/engine/install.sh
	@touch $@

setup: $(SETUP) ## set up the gateway's environment

engine: $(ENGINE) ## set up the engine's environment: vLLM on the CPU (about 1 min; 2.1 GB)

run: $(SETUP) $(ENGINE) ## start the embedded pair and the gateway, show two first answers, serve until Ctrl-C
	@$(BIN)/thinkgate up --instruct deploy/engine/instruct --thinking deploy/engine/thinking \
	  --judge-weights deploy/engine/judge --first-requests

test: check unit e2e ## all checks and tests, real vLLM included (about 10 min)

check: $(SETUP) ## format, lint, types, import rules, generated pages
	@echo "== format and lint"; $(BIN)/ruff format --check -q . && $(BIN)/ruff check -q .
	@echo "== types"; $(BIN)/mypy
	@echo "== import rules"; $(BIN)/lint-imports

unit: $(SETUP) ## tests without an engine
	$(BIN)/python -m pytest -q -m 'not e2e'

e2e: $(SETUP) $(ENGINE) ## tests against two real vLLM servers on the CPU
	$(BIN)/python -m pytest -q -m e2e tests/e2e

bench: $(SETUP) ## what a request and a chunk cost the gateway (3 min; two idle cores)
	$(BIN)/python tests/bench/run.py

format: $(SETUP) ## format the code
	$(BIN)/ruff format -q . && $(BIN)/ruff check -q --fix .

clean: ## remove environments and caches
	rm -rf .venv .venv-vllm .run .mypy_cache .ruff_cache .pytest_cache .import_linter_cache results
