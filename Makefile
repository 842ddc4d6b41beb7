# Two commands do everything: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test check lint types contract tests peers matrix sweep release site clean

demo: $(VENV)/.demo
	$(BIN)/reachwatch lab demo -o demo

test: check tests

check: lint types contract

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m compileall -q probe analysis censorlab tests

types: $(VENV)/.dev
	$(BIN)/mypy

contract: $(VENV)/.dev
	$(BIN)/lint-imports

tests: $(VENV)/.dev
	$(BIN)/pytest -n auto --dist loadfile

# The servers of the lab, from Debian, as root; none is started.
peers:
	sh censorlab/servers/install.sh

# Every scenario once; and all of them at two losses, two round trips, five seeds.
matrix: $(VENV)/.demo
	$(BIN)/reachwatch lab matrix --quick -o lab-matrix

sweep: $(VENV)/.demo
	$(BIN)/reachwatch lab matrix -o lab-matrix

# What is given to people, into dist/: wheel, sdist, one-file archive, Debian package, bill of
# materials, checksums. The same sources give the same bytes.
release: $(VENV)/.release
	SOURCE_DATE_EPOCH=1767225600 $(BIN)/python release/build.py

# The pages of docs/ as a site that asks nobody for anything, into build/site.
site: $(VENV)/.site
	$(BIN)/python -m sphinx -q -W --keep-going -b html docs build/site

# Each stamp stands for an installed set. Dependency groups need pip >= 25.1,
# newer than Debian's.
$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"

$(VENV)/.demo: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --no-compile -c .ci/constraints.txt -e ".[analysis,lab]"
	touch $@

$(VENV)/.dev: pyproject.toml | $(VENV)/.demo
	$(BIN)/python -m pip install --quiet --no-compile -c .ci/constraints.txt --group dev
	touch $@

$(VENV)/.site: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --no-compile -c .ci/constraints.txt --group docs
	touch $@

$(VENV)/.release: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --no-compile -c .ci/constraints.txt --group release
	touch $@

clean:
	rm -rf dist build $(VENV) demo lab-matrix
