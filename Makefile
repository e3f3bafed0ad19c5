# On a fresh machine: `make demo`, `make demo-scratch`, `make test`. Each sets up what it needs.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
DEMO := outputs/demo
SCRATCH := outputs/demo-scratch
# The demo's video is the first unseen street: this is the same street again, with its exact depth.
FILM := --variety wide --height 160 --width 512 --frames 40
ITS_DEPTH := --datatype synthetic --variety wide --test-scenes 1 --scene-frames 40 --baseline-scenes 4
# One to two minutes on two slow cores.
ADAPT := --height 160 --width 512 --batch-size 4 --steps 50

PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
# uv unpacks the 5 GB of PyTorch in a third of pip's time; where it cannot reach the index, pip does it. Bytecode
# is compiled as by pip: else, where Python may not write it, each start takes twice as long.
UV := $(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --constraint constraints.txt

.PHONY: demo demo-scratch test lint format setup setup-dev

setup: $(VENV)/ready
setup-dev: $(VENV)/ready-dev

$(VENV)/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) uv
	$(UV) --editable . || $(PIP) --editable .
	touch $@

$(VENV)/ready-dev: $(VENV)/ready
	$(UV) --editable '.[dev]' || $(PIP) --editable '.[dev]'
	touch $@

# A video of a street that no model has seen: predict it with the starter, adapt the starter to it without
# looking at any depth, predict it again; score both against the exact depth of its frames.
demo: setup
	rm -rf $(DEMO)
	$(BIN)/mono2many street $(DEMO)/street.mp4 $(FILM)
	$(BIN)/mono2many predict $(DEMO)/street.mp4 --out $(DEMO)/before
	$(BIN)/mono2many train --start-from starter --datatype video --data $(DEMO)/street.mp4 --camera $(DEMO)/street.json $(ADAPT) --out $(DEMO) --name adapted
	$(BIN)/mono2many predict $(DEMO)/street.mp4 --model $(DEMO)/adapted --out $(DEMO)/after
	$(BIN)/mono2many evaluate --model starter $(ITS_DEPTH) --json $(DEMO)/before.json --report $(DEMO)/before.html
	$(BIN)/mono2many evaluate --model $(DEMO)/adapted $(ITS_DEPTH) --json $(DEMO)/after.json --report $(DEMO)/after.html
	@echo $(DEMO)/before.html $(DEMO)/after.html

# Train on the procedural street from nothing, score on streets never seen, render a video of one.
demo-scratch: setup
	rm -rf $(SCRATCH)
	$(BIN)/mono2many train --recipe scratch --out $(SCRATCH) --name street
	$(BIN)/mono2many evaluate --model $(SCRATCH)/street --datatype synthetic --json $(SCRATCH)/figures.json --report $(SCRATCH)/report.html
	$(BIN)/mono2many street $(SCRATCH)/unseen.mp4
	$(BIN)/mono2many predict $(SCRATCH)/unseen.mp4 --model $(SCRATCH)/street --out $(SCRATCH) --save video colour
	@echo $(SCRATCH)/report.html

test: setup-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

lint: setup-dev
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy

format: setup-dev
	$(BIN)/ruff format
	$(BIN)/ruff check --fix
