# Two commands on a fresh machine: `make demo` and `make test`. Each sets up what it needs.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
DEMO := outputs/demo

.PHONY: demo test lint format setup

setup: $(VENV)/ready

$(VENV)/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $@

# Train on the embedded street from nothing, score on streets never seen, film one of them.
demo: setup
	rm -rf $(DEMO)
	$(BIN)/mono2many train --recipe scratch --out $(DEMO) --name street
	$(BIN)/mono2many evaluate --model $(DEMO)/street --datatype synthetic --json $(DEMO)/figures.json --report $(DEMO)/report.html
	$(BIN)/mono2many street $(DEMO)/unseen.mp4
	$(BIN)/mono2many predict $(DEMO)/unseen.mp4 --model $(DEMO)/street --out $(DEMO) --save video colour
	@echo $(DEMO)/report.html

test: setup
	$(BIN)/python -m pytest

lint: setup
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy

format: setup
	$(BIN)/ruff format
	$(BIN)/ruff check --fix
