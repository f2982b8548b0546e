# Everything a newcomer or a machine needs, each target setting itself up. `make help` lists them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
NODE_CLIENTS := $(patsubst %/package-lock.json,%/node_modules/.installed,$(wildcard tests/clients/*/package-lock.json))
export PYTHONDONTWRITEBYTECODE =

.PHONY: help demo test check bench up format docs clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(VENV)/.installed: requirements.lock pyproject.toml | system
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Callboard needs Python 3.11 or newer: name one by make PYTHON=...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "uv>=0.13"
	$(BIN)/uv pip sync --quiet --python $(BIN)/python requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	touch $@

.PHONY: system test-system
system:
	@PYTHON=$(PYTHON) sh scripts/system-packages.sh
test-system:
	@PYTHON=$(PYTHON) sh scripts/system-packages.sh tests

tests/clients/%/node_modules/.installed: tests/clients/%/package-lock.json
	@if command -v npm >/dev/null; then cd $(<D) && npm ci --silent --no-audit --no-fund; else mkdir -p $(@D); fi
	touch $@

demo: $(VENV)/.installed ## Push, build and run a sample Actor on a throwaway server
	$(BIN)/callboard demo

up: $(VENV)/.installed ## Start a server with its data in ./data; ARGS="--port 9000"
	$(BIN)/callboard up --data-dir data $(ARGS)

test: $(VENV)/.installed $(NODE_CLIENTS) | test-system ## Run all tests; ARGS="-k runs" narrows them
	$(BIN)/python -m pytest -n 3 --dist loadgroup $(ARGS)

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

bench: $(VENV)/.installed ## Measure, as ratios to yardsticks of the same run
	$(BIN)/python -m bench

clean: ## Remove what the targets made
	rm -rf $(VENV) tests/clients/*/node_modules .*_cache .hypothesis
