# Everything a newcomer or a machine needs, each target setting itself up. `make help` lists them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PYTHONDONTWRITEBYTECODE =

.PHONY: help demo test check bench up format docs clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(VENV)/.installed: requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "uv>=0.13"
	$(BIN)/uv pip sync --quiet --python $(BIN)/python requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	touch $@

.PHONY: system
system:
	@sh scripts/system-packages.sh

tests/clients/js/node_modules/.installed: tests/clients/js/package-lock.json
	@if command -v npm >/dev/null; then cd tests/clients/js && npm ci --silent --no-audit --no-fund; else mkdir -p $(@D); fi
	touch $@

demo: system $(VENV)/.installed ## Push, build and run a sample Actor on a throwaway server
	$(BIN)/callboard demo

up: system $(VENV)/.installed ## Start a server with its data in ./data
	$(BIN)/callboard up --data-dir data

test: system $(VENV)/.installed tests/clients/js/node_modules/.installed ## Run all tests
	$(BIN)/python -m pytest -n 2 --dist loadgroup $(ARGS)

check: $(VENV)/.installed ## Lint, types, import order, generated docs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/basedpyright
	$(BIN)/lint-imports
	$(BIN)/python scripts/generate_docs.py --check

docs: $(VENV)/.installed ## Write the generated pages of docs/
	$(BIN)/python scripts/generate_docs.py

format: $(VENV)/.installed ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: system $(VENV)/.installed ## Measure, as ratios to yardsticks of the same run
	$(BIN)/python -m bench

clean: ## Remove what the targets made
	rm -rf $(VENV) tests/clients/js/node_modules
