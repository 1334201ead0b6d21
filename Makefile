# Everything from a fresh machine with Python 3.11 or newer and make.
# `make demo` trains novices with experts and alone, and writes a report (FLAGS='--seeds 5' for more seeds);
# `make test` checks everything; `make docs` builds the site, `make dist` a wheel and an sdist.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
OUT ?= demo
FLAGS ?=
SCALE ?= 1
PIP_FLAGS ?=
PIP_INSTALL = -m pip install --quiet --disable-pip-version-check $(PIP_FLAGS)

.PHONY: demo test test-lowest test-dist lint types docs dist torture clean

$(VENV)/.ready: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Rookery needs Python 3.11 or newer; try make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python $(PIP_INSTALL) -e .
	@touch $@

$(VENV)/.ready-dev: $(VENV)/.ready
	$(BIN)/python $(PIP_INSTALL) -e '.[dev]'
	@touch $@

demo: $(VENV)/.ready
	$(BIN)/rookery demo --out $(OUT) $(FLAGS)

# Tests that drive a browser, a terminal or a server share the machine with compilers. Tests that fail (exit status 1) are
# named, and run once more without others at the same time. Files are taken in the order of tests/conftest.py.
test: $(VENV)/.ready-dev
	@$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder --max-worker-restart 2 -q || { \
	  [ $$? -eq 1 ] || exit 1; \
	  echo "Running the failed tests once more, one at a time:"; \
	  $(BIN)/python -m pytest -q --last-failed --last-failed-no-failures none; }

lint: $(VENV)/.ready-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.ready-dev
	$(BIN)/pyright
	$(BIN)/python tests/public_types.py

# The site in build/site, with warnings as errors, in an environment of its own: it reads the source and never imports it.
DOCS_VENV ?= build/docs-venv
$(DOCS_VENV)/.ready: docs/requirements.txt
	$(PYTHON) -m venv $(DOCS_VENV)
	$(DOCS_VENV)/bin/python $(PIP_INSTALL) -r docs/requirements.txt
	@touch $@

docs: $(DOCS_VENV)/.ready
	$(DOCS_VENV)/bin/python docs/_site/stage.py build/docs
	$(DOCS_VENV)/bin/sphinx-build -q -W --keep-going -c docs/_site build/docs/pages build/site
	@cp -R build/docs/extra/. build/site/
	@echo "site: $(CURDIR)/build/site/index.html"

dist: $(VENV)/.ready
	rm -rf dist
	$(BIN)/python $(PIP_INSTALL) build
	$(BIN)/python -m build --quiet --outdir dist .

# The wheel, in a fresh environment away from the checkout.
test-dist: dist
	rm -rf build/dist-test && mkdir -p build/dist-test
	$(PYTHON) -m venv build/dist-test/venv
	build/dist-test/venv/bin/python $(PIP_INSTALL) dist/*.whl
	cd build/dist-test && venv/bin/rookery demo --preset smoke --seeds 2 --episodes 4 --out demo --quiet

# The lowest versions that pyproject.toml allows: floors are what passes.
LOWEST_VENV ?= build/lowest-venv
LOWEST_TESTS ?= tests/test_public.py tests/test_demo.py tests/training/test_resume.py tests/learning/test_ppo.py \
  tests/storage tests/tasks/test_all.py tests/agents/test_numpy_actor.py tests/viz/test_video.py tests/play/test_server.py
test-lowest:
	$(PYTHON) -m venv $(LOWEST_VENV)
	$(LOWEST_VENV)/bin/python $(PIP_INSTALL) uv
	$(LOWEST_VENV)/bin/uv pip install --quiet --python $(LOWEST_VENV)/bin/python --resolution lowest-direct \
	  -e . -r tests/lowest-requirements.txt
	$(LOWEST_VENV)/bin/python -m pytest -q -W default -p no:cacheprovider $(LOWEST_TESTS)

# Hours; stopped, it continues where it was. SCALE=0.01 tries a hundredth.
torture: $(VENV)/.ready-dev
	$(BIN)/python -m benchmarks.torture --scale $(SCALE) --write docs/reliability.md

clean:
	rm -rf $(VENV) build dist .pytest_cache .ruff_cache .hypothesis
