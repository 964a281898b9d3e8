# make demo   train the small tracker, evaluate it, write a report
# make test   the test suite; make test-all also what runs at night only, and every program
#             optimised as it is for users
# make small  prepare the data of the tracker that ships, and train it; resumes
# make real   prepare the data of the studies of size real
# All make a virtual environment of their own first; Python >= 3.11 is all they need.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

RUN ?= runs/quickstart
# Overrides for training, for example TRAIN_ARGS="--train.epochs 4"
TRAIN_ARGS ?=
# More for pytest, for example TEST_ARGS=--durations=20
TEST_ARGS ?=
# A folder of real sequences in OTB layout, evaluated as well when given
SEQUENCES ?=

# The tracker that ships: where its data lie, where it is trained, and what it starts from
DATA ?= ../shared
SMALL ?= runs/siamjax_small
INIT ?= $(DATA)/weights/mobilenetv2_1.0_imagenet.npz
PREPARED := prepared/small
SIZES := --crop-size 335 --template-size 111
# Sources that anyone may use; recordings that end in 6, and two of conecube's, are kept back
CROPS := garbage ships cartucho_map cards lion chess amenity raccoon
MORE := aquarium football industrial coco_by kitchen_hmi2 openimages5 parking rubik
CLIPS := 'dronedet__*[!6]' 'conecube__172[68]*' 'conecube__173039*'
KEPT := dronedet__*6 conecube__172523* conecube__173111*

.PHONY: demo test test-all small real lint install clean

demo: $(INSTALLED)
	$(BIN)/python train.py --config configs/quickstart.py --workdir $(RUN) $(TRAIN_ARGS)
	$(BIN)/python eval.py --config $(RUN)/config.json --weights $(RUN) --benchmark synthetic \
	    --data $(RUN)/test --out $(RUN)/evaluation --controls
ifneq ($(strip $(SEQUENCES)),)
	$(BIN)/python eval.py --config $(RUN)/config.json --weights $(RUN) --benchmark otb \
	    --data $(SEQUENCES) --out $(RUN)/evaluation-sequences --controls
endif

# Each process begins with neighbours, which share what a module prepares and compiles.
PYTEST := $(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist worksteal
# Compared with other implementations' numbers, once more as users compile it
GOLDENS := tests/tracking/test_golden.py tests/weights/test_goldens.py tests/test_shipped_tracker.py

test: $(INSTALLED)
	$(PYTEST) -m "not nightly" $(TEST_ARGS)
	XLA_FLAGS= $(PYTEST) $(GOLDENS)

test-all: $(INSTALLED)
	XLA_FLAGS= $(PYTEST) $(TEST_ARGS)

small: $(PREPARED)/.ready
	$(BIN)/python train.py --config configs/siamjax_small.py --workdir $(SMALL) --init.path $(INIT)

$(PREPARED)/.ready: $(INSTALLED)
	mkdir -p $(PREPARED)/backgrounds $(PREPARED)/validation
	$(BIN)/siamjax prepare crops --input $(DATA)/training --out $(PREPARED)/crops $(SIZES) \
	    --only $(CROPS:%='%/*')
	$(BIN)/siamjax prepare crops --input $(DATA)/training_more --out $(PREPARED)/crops_more \
	    $(SIZES) --only $(MORE:%='%/*') 'dronedet/*[!6]'
	$(BIN)/siamjax prepare otb --input $(DATA)/training_more/videos --out $(PREPARED)/clips \
	    $(SIZES) --index-base 0 --only $(CLIPS)
	ln -sfn $(abspath $(DATA))/turning $(PREPARED)/turning
	ln -sfn $(abspath $(DATA))/training/cutouts $(PREPARED)/cutouts
	for source in $(MORE) $(CROPS); do \
	    for crops in $(abspath $(DATA))/training/crops $(abspath $(DATA))/training_more/crops; do \
	        if [ -d $$crops/$$source ]; then ln -sfn $$crops/$$source $(PREPARED)/backgrounds/$$source; fi; \
	    done; \
	done
	for clip in $(KEPT:%=$(abspath $(DATA))/training_more/videos/%) $(abspath $(DATA))/training/davis/*; do \
	    ln -sfn $$clip $(PREPARED)/validation/; \
	done
	touch $@

# Research sources too, since no network of a study is released; kept videos only probe
REAL := prepared/real
REAL_SIZES := --crop-size 255 --template-size 79

real: $(REAL)/.ready

$(REAL)/.ready: $(INSTALLED)
	mkdir -p $(REAL)/backgrounds $(REAL)/kept_videos
	$(BIN)/siamjax prepare crops --input $(DATA)/training --out $(REAL)/crops $(REAL_SIZES)
	$(BIN)/siamjax prepare crops --input $(DATA)/training_more --out $(REAL)/crops_more \
	    $(REAL_SIZES) --only '[!d]*/*' 'dronedet/*[!6]'
	$(BIN)/siamjax prepare otb --input $(DATA)/training_more/videos --out $(REAL)/clips \
	    $(REAL_SIZES) --index-base 0 --only $(CLIPS) 'dlc*'
	for clip in $(KEPT:%=$(abspath $(DATA))/training_more/videos/%) $(abspath $(DATA))/training/davis/*; do \
	    ln -sfn $$clip $(REAL)/kept_videos/; \
	done
	$(BIN)/siamjax prepare otb --input $(REAL)/kept_videos --out $(REAL)/kept $(REAL_SIZES) \
	    --index-base 0
	$(BIN)/python benchmarks/sequences.py --otb $(DATA)/sequences/otb \
	    --vot2018 $(DATA)/sequences/vot --out $(REAL)
	ln -sfn $(abspath $(INIT)) $(REAL)/mobilenetv2_1.0_imagenet.npz
	ln -sfn $(abspath $(DATA))/turning $(REAL)/turning
	ln -sfn $(abspath $(DATA))/training/cutouts $(REAL)/cutouts
	for crops in $(abspath $(DATA))/training/crops/* $(abspath $(DATA))/training_more/crops/*; do \
	    ln -sfn $$crops $(REAL)/backgrounds/; \
	done
	touch $@

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/ty check --python $(VENV)

install: $(INSTALLED)

$(INSTALLED): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "siamjax needs Python 3.11 or newer; name one with PYTHON=..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable ".[dev]"
	@touch $@

clean:
	rm -rf runs prepared .pytest_cache .ruff_cache .hypothesis .jax_cache
