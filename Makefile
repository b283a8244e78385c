# make demo   install and run the main job on what comes with bench
# make test   install for development and run the tests
# make external  tests that need chromium and its driver, and a TeX (Debian: apt-get install chromium chromium-driver texlive-latex-recommended)
# make compiled  tests that compile networks by torch.compile (minutes; needs g++)
# make cluster   tests on real Ray clusters of two nodes on this machine (minutes)
# make check  the numbers of a small suite against those reported (a minute)
# make lint   formatting, style, types, layers
# make docs   the documentation as pages: build/docs/index.html
# make workflows  .github held to actionlint and zizmor
# make perf   benchmarks as ratios, LibMTL, transformers and Lightning among the peers (half an hour or more), written to results/performance/
# make simulation   what verdicts are worth: false alarms, coverage, power (minutes), written to results/simulations/
# make scale  a million rows, 200,000 audited images (10 minutes, 3 GB of disk), written there too
# make growth  how time and memory grow with images, tasks, data sets, methods and records (half an hour), written there too

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
PEERS := $(VENV)-peers

.PHONY: demo test check external compiled cluster lint docs workflows perf scale growth simulation clean

demo: $(VENV)/.runtime
	$(BIN)/bench run --suite faces

test: $(VENV)/.development
	$(BIN)/python -m pytest -n auto

check: $(VENV)/.runtime
	$(BIN)/bench check guard

external: $(VENV)/.development
	$(BIN)/python -m pytest -m external

compiled: $(VENV)/.development
	$(BIN)/python -m pytest -m compiled

cluster: $(VENV)/.ray
	$(BIN)/python -m pytest -m cluster

lint: $(VENV)/.development
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(VENV)/.development
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --config-file .github/docs/mkdocs.yml --site-dir $(CURDIR)/build/docs

workflows: $(VENV)/.workflows
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/actionlint
	$(BIN)/zizmor --offline --quiet .github

perf: $(VENV)/.development $(PEERS)/.installed
	$(BIN)/python tests/performance/measure.py --peers $(PEERS)/bin/python

simulation: $(VENV)/.development
	$(BIN)/python -m tests.analysis.simulate

scale: $(VENV)/.development
	$(BIN)/python tests/performance/scale.py

growth: $(VENV)/.development
	$(BIN)/python tests/performance/growth.py

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.runtime: $(VENV)/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet -c constraints.txt -e .
	touch $@

$(VENV)/.development: $(VENV)/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev]'
	touch $@ $(VENV)/.runtime

$(VENV)/.ray: $(VENV)/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev,ray]'
	touch $@ $(VENV)/.development $(VENV)/.runtime

$(VENV)/.workflows: $(VENV)/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[workflows]'
	touch $@ $(VENV)/.runtime

$(PEERS)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install --quiet -c constraints.txt -e '.[peers]'
	touch $@

clean:
	rm -rf $(VENV) $(PEERS) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
