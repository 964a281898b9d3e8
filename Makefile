# make demo   train the small tracker, evaluate it, write a report
# make test   the whole test suite
# Both make a virtual environment of their own first; Python >= 3.11 is all they need.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

RUN ?= runs/quickstart
# Overrides for training, for example TRAIN_ARGS="--train.epochs 4"
TRAIN_ARGS ?=
# A folder of real sequences in OTB layout, evaluated as well when given
SEQUENCES ?=

.PHONY: demo test lint install clean

demo: $(INSTALLED)
	$(BIN)/python train.py --config configs/quickstart.py --workdir $(RUN) $(TRAIN_ARGS)
	$(BIN)/python eval.py --config $(RUN)/config.json --weights $(RUN) --benchmark synthetic \
	    --data $(RUN)/test --out $(RUN)/evaluation --controls
ifneq ($(strip $(SEQUENCES)),)
	$(BIN)/python eval.py --config $(RUN)/config.json --weights $(RUN) --benchmark otb \
	    --data $(SEQUENCES) --out $(RUN)/evaluation-sequences --controls
endif

test: $(INSTALLED)
	$(BIN)/python -m pytest

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

install: $(INSTALLED)

$(INSTALLED): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "siamjax needs Python 3.11 or newer; name one with PYTHON=..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable ".[dev]"
	@touch $@

clean:
	rm -rf runs .pytest_cache .ruff_cache .hypothesis
