# Every target sets up .venv first, where it needs it and does not have it.
.DEFAULT_GOAL := help
.PHONY: help setup demo test test-slow soak fuzz check format reference examples calibrations audit sbom lock clean

# No usage statistics from the libraries, in anything started here.
export PREFECT_SERVER_ANALYTICS_ENABLED = false
export DO_NOT_TRACK = true
export MLFLOW_DISABLE_TELEMETRY = true

BIN := .venv/bin

# Two processes share the tests; those of one file stay together, and share its servers. Each of them
# computes on one core, or both would compete for all. Slow tests wait half of their time for servers,
# which a third process uses.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

COMPILE := .uv/bin/uv pip compile --quiet --universal --generate-hashes \
	--no-emit-index-url --no-header --no-annotate

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' Makefile

setup: ## make .venv from the locks
	@sh bootstrap.sh

demo: setup ## fit the simulated screen and show where the results are
	@$(BIN)/screenbayes demo

test: setup ## all tests but the slow ones
	@$(PYTEST) -m "not slow and not soak"

test-slow: setup ## servers, kill -9, a browser, PostgreSQL, every command of the documentation
	@$(PYTEST) -n 3 -v --durations 20 -m slow

fuzz: setup ## for long: fifty times the examples of the property tests, other ones each time
	@SCREENBAYES_FUZZ=50 $(BIN)/python -m pytest -n 0 tests/property tests/model/engines/exact/test_oracle.py

soak: setup ## 200 scheduled refreshes and random faults, hours long; SOAK_REFRESHES, SOAK_SEED
	@$(BIN)/python -m pytest -n 0 -s -m soak

check: setup ## formatting, lint and types
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy

format: setup ## format the code and fix what lint can fix
	@$(BIN)/ruff check --fix --quiet . || true
	@$(BIN)/ruff format .

audit: setup ## hold the locked packages against known advisories; AUDIT=--may-be-out-of-reach
	@$(BIN)/python .ci/audit.py $(AUDIT)

sbom: setup ## write the bill of materials of the product, build/sbom.json
	@$(BIN)/python .ci/sbom.py

examples: setup ## write the notebooks of examples/ from their text
	@$(BIN)/python -m examples.build

reference: setup ## write anew what the pages of docs/ take from the code
	@$(BIN)/python -m docs.reference

calibrations: setup ## calibrate anew the models whose packaged calibration is out of date
	@$(BIN)/python .ci/calibrations.py

# Keeps every version that pyproject.toml still allows; delete a lock first to move them all.
lock: ## resolve the dependencies anew into the locks
	@sh bootstrap.sh uv
	@echo uv | $(COMPILE) --python-version 3.8 --output-file bootstrap.lock -
	@$(COMPILE) --python-version 3.12 --group dev --output-file requirements.lock pyproject.toml

clean: ## remove the environment and all caches; results of runs stay
	@rm -rf .venv .uv .mypy_cache .pytest_cache .ruff_cache .hypothesis build *.egg-info
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
