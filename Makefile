# Everything from a fresh machine with Python 3.11 or newer and make.
# `make demo` trains novices with experts and alone, and writes a report (FLAGS='--seeds 5' for more seeds);
# `make test` checks everything.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
OUT ?= demo
FLAGS ?=

.PHONY: demo test lint types clean

$(VENV)/.ready: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Rookery needs Python 3.11 or newer; try make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	@touch $@

$(VENV)/.ready-dev: $(VENV)/.ready
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@

demo: $(VENV)/.ready
	$(BIN)/rookery demo --out $(OUT) $(FLAGS)

# Tests that drive a browser, a terminal or a server share the machine with compilers. Tests that fail (exit status 1) are
# named, and run once more without others at the same time.
test: $(VENV)/.ready-dev
	@$(BIN)/python -m pytest -n auto --dist loadfile --max-worker-restart 2 -q || { \
	  [ $$? -eq 1 ] || exit 1; \
	  echo "Running the failed tests once more, one at a time:"; \
	  $(BIN)/python -m pytest -q --last-failed --last-failed-no-failures none; }

lint: $(VENV)/.ready-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.ready-dev
	$(BIN)/pyright

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis
