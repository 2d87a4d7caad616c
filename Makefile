# Everything is set up on first use: .venv for the gateway and its tools, .venv-vllm for the engine (vLLM on the CPU).
# `make` alone lists the targets.

# The system's own interpreter where it will do: distributions build it with profile-guided optimisation, and a request
# costs a quarter less than with one that pyenv has built by its defaults (docs/benchmarks.md).
WILL_DO := import sys, sysconfig, os, ensurepip, venv; \
  sys.exit(sys.version_info < (3, 11) or not os.path.exists(sysconfig.get_path("include") + "/Python.h"))
PYTHON ?= $(shell /usr/bin/python3 -c '$(WILL_DO)' 2>/dev/null && echo /usr/bin/python3 || echo python3)
BIN    := .venv/bin
SETUP  := .venv/.ready
ENGINE := .venv-vllm/.ready
CLIENTS := .venv-clients/.ready

# On a shared machine a test of real processes can fail by bad luck. CI tries what failed a second time, and lists it as a
# rerun; a test that fails twice fails. Without CI in the environment nothing is tried again.
PYTEST := $(BIN)/python -m pytest -q $(if $(CI),--reruns 1 --reruns-delay 2 -r R)

.PHONY: help setup engine clients run test docs unit state e2e fuzz check bench bench-parts bench-peers deploy-test format clean learn-demo

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

$(CLIENTS): tests/e2e/clients/install.sh tests/e2e/clients/requirements.txt tests/e2e/clients/node/package-lock.json $(SETUP)
	@UV=$(BIN)/uv tests/e2e/clients/install.sh
	@touch $@

clients: $(CLIENTS) ## set up the clients that the end-to-end tests try (needs Node.js 20; about 30 s; 400 MB)

run: $(SETUP) $(ENGINE) ## start the embedded pair and the gateway, show two first answers, serve until Ctrl-C
	@$(BIN)/thinkgate up --instruct deploy/engine/instruct --thinking deploy/engine/thinking \
	  --judge-weights deploy/engine/judge --first-requests

test: check docs unit state e2e ## all checks and tests, real vLLM, PostgreSQL and Redis included (about 30 min)

check: $(SETUP) ## format, lint, types, import rules, generated pages
	@echo "== format and lint"; $(BIN)/ruff format --check -q . && $(BIN)/ruff check -q .
	@echo "== types"; $(BIN)/mypy
	@echo "== import rules"; $(BIN)/lint-imports

docs: $(SETUP) ## the documentation as a site, into site/; fails on a broken link
	@echo "== documentation"; NO_MKDOCS_2_WARNING=1 $(BIN)/uv tool run -q --from mkdocs==1.6.1 --with mkdocs-material==9.8.2 mkdocs build -q

unit: $(SETUP) ## tests without an engine
	$(PYTEST) -m 'not e2e and not state'

state: $(SETUP) ## tests against real PostgreSQL and Redis servers (installed first: apt-get as root)
	@tests/state/tools.sh
	$(PYTEST) -m state tests/state

e2e: $(SETUP) $(ENGINE) $(CLIENTS) ## tests against two real vLLM servers on the CPU, with the usual clients and a real browser (installed first: apt-get as root)
	@tests/e2e/browser/tools.sh
	$(PYTEST) -m e2e tests/e2e

FUZZ_SECONDS ?= 60
FUZZED := answer chat_stream completion_stream message_stream response_stream body configuration

fuzz: $(SETUP) ## coverage-guided bytes for every parser, then 1,000 bad requests to every endpoint (about 12 min)
	@test -x .venv-fuzz/bin/python || $(BIN)/uv venv -q -p $(BIN)/python .venv-fuzz
	@$(BIN)/uv pip install -q -p .venv-fuzz/bin/python -c constraints.txt -e . atheris==3.0.0
	for target in $(FUZZED); do .venv-fuzz/bin/python -m tests.fuzz.run $$target --seconds $(FUZZ_SECONDS) || exit 1; done
	THINKGATE_EXAMPLES=1000 $(BIN)/python -m pytest -q tests/app/test_fuzz.py

bench: $(SETUP) ## what a request and a chunk cost the gateway (7 min; two idle cores)
	$(BIN)/python -m tests.bench.run

bench-parts: $(SETUP) ## what the parts of a request cost in process: judge, ladder, rewrite, relay (1 min)
	$(BIN)/python -m pytest -q -o python_files='bench_*.py' -o python_functions='bench_*' --benchmark-columns=min,median,stddev,rounds \
	  --benchmark-sort=name tests/bench/bench_parts.py

bench-peers: $(SETUP) ## the same beside nginx, the Rust routers and LiteLLM (30 min; installed first: 1.5 GB, apt-get as root)
	@tests/bench/peers.sh
	$(BIN)/python -m tests.bench.run --peers

learn-demo: $(SETUP) $(ENGINE) ## label, adapt, learn, promote and measure on the embedded pair, unattended (about 10 min)
	$(BIN)/python deploy/engine/learn_demo.py

deploy-test: $(SETUP) $(ENGINE) ## image, compose, dashboards, alerts and chart, run for real (tools installed first: apt-get as root)
	@tests/deploy/tools.sh
	$(BIN)/python -m pytest -q -o timeout=900 -o python_files='check_*.py test_*.py' tests/deploy

format: $(SETUP) ## format the code
	$(BIN)/ruff format -q . && $(BIN)/ruff check -q --fix .

clean: ## remove environments and caches
	rm -rf .venv .venv-vllm .venv-clients .venv-deploy .venv-ray .venv-fuzz tests/e2e/clients/node/node_modules .run site \
	  .mypy_cache .ruff_cache .pytest_cache .import_linter_cache results
