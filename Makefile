# deblur_lit: `make help` lists what there is.
SHELL := /bin/bash
.DEFAULT_GOAL := help
comma := ,

PYTHON ?= python3
VENV ?= .venv
# TORCH= keeps a torch that the environment already has; TORCH=torch==2.15.0 chooses another.
TORCH ?= torch==2.13.0
EXTRAS ?= dev
BIN := $(VENV)/bin
READY := $(VENV)/.ready-$(subst $(comma),-,$(EXTRAS))

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z][a-z0-9-]*:.*## ' Makefile | sed -E 's/:[^#]*## /\t/' | expand -t 20

.PHONY: setup
setup: $(READY) ## create .venv and install everything (EXTRAS=dev,tb; TORCH=torch==2.13.0)

# An installation holds a copy of the launcher, which Hydra finds by its place.
$(READY): pyproject.toml Makefile $(wildcard deblur_lit/plugins/hydra_plugins/*/*.py)
	@$(PYTHON) -c 'import sys; sys.exit("deblur_lit needs Python 3.11 or newer, this is " + sys.version.split()[0]) if sys.version_info < (3, 11) else None'
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "setup: Python has no venv module here. On Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@set -e; \
	if command -v uv >/dev/null 2>&1; then \
	  links="$$($(PYTHON) -m pip config get global.find-links 2>/dev/null || true)"; \
	  install="env VIRTUAL_ENV=$(abspath $(VENV)) $${links:+UV_FIND_LINKS=$$links} uv pip install"; \
	else install="$(BIN)/python -m pip install --disable-pip-version-check"; fi; \
	echo "setup: 1/2 $(if $(TORCH),$(TORCH),the torch that is there)"; \
	$(if $(TORCH),$$install --quiet "$(TORCH)";) \
	$(BIN)/python -c 'import importlib.metadata as m; print("torch==" + m.version("torch").split("+")[0])' > $(VENV)/constraints.txt; \
	echo "setup: 2/2 deblur_lit[$(EXTRAS)] and what it needs"; \
	$$install --quiet -c $(VENV)/constraints.txt -e ".[$(EXTRAS)]" $(if $(OPENCV),'$(OPENCV)')
	@touch $@

.PHONY: smoke
smoke: setup ## train ten steps on the embedded data, to see that all works
	@$(BIN)/python -m deblur_lit.train experiment=smoke study=smoke

REPRODUCE = $(BIN)/python -m deblur_lit.reproduce
FLAGS = $(if $(DATA_ROOT),--data-root '$(DATA_ROOT)') $(if $(CHECKPOINTS),--checkpoints '$(CHECKPOINTS)') \
  $(if $(filter 1,$(TRAIN)),--train) $(if $(filter 1,$(TRAIN_ALL)),--train-all) $(if $(ROWS),--rows '$(ROWS)') --seeds '$(SEEDS)' $(ARGS)
SEEDS ?= 0

.PHONY: reproduce-table1
reproduce-table1: setup ## Table 1: eight systems (DATA_ROOT= CHECKPOINTS= TRAIN=1; without DATA_ROOT mini, on a CPU; EXTRA=1, TRAIN_ALL=1)
	@$(REPRODUCE) table1 $(if $(filter 1,$(EXTRA)),--optional) $(FLAGS)

.PHONY: reproduce-table2
reproduce-table2: setup ## Table 2: baseline, +DFFM, +MSRM, +DFFM+MSRM (DATA_ROOT= TRAIN=1 SEEDS=0,1,2 CONTROLS=1 ROWS=my_ablation)
	@$(REPRODUCE) table2 $(if $(filter 1,$(CONTROLS)),--optional) $(FLAGS)

DATA ?= $(if $(DATA_ROOT),gopro,mini)
.PHONY: record
record: setup ## copy a finished table and its records to experiments/ (TABLE=table1 DATA=mini)
	@$(BIN)/python -m deblur_lit.report '$(or $(TABLE),table1)' --data '$(DATA)' --record experiments

FRAMES ?=
.PHONY: pretrained
pretrained: setup ## make the weights that come with the package: download photographs, train for hours, export (FRAMES=real frames for the card)
	@$(BIN)/python -m deblur_lit.pretrain $(if $(FRAMES),--frames '$(FRAMES)')

.PHONY: networks
networks: setup ## list all networks: paper, weights, parameters, MACs, receptive field
	@$(BIN)/deblur-lit networks

JOBS ?= 2
.PHONY: test
test: setup ## all tests but the long ones
	@$(BIN)/python -m pytest -n $(JOBS)

.PHONY: test-long
test-long: setup ## the full-size and slow tests, and those that touch images with OpenCV 4 too
	@$(BIN)/python -m pytest -m long --timeout 1800 -n $(JOBS)
	@$(MAKE) --no-print-directory setup VENV=.venv-opencv4 OPENCV='opencv-python-headless==4.12.*'
	@.venv-opencv4/bin/python -c 'import cv2; print("OpenCV", cv2.__version__)'
	@.venv-opencv4/bin/python -m pytest -n $(JOBS) tests/data tests/metrics tests/test_pictures.py tests/test_train.py

.PHONY: check-network
check-network: setup ## the contract of one network at full size (NAME=dffm_msrm)
	@test -n '$(NAME)' || { echo "check-network: say which, NAME=<stem of conf/network or conf/ablation>"; exit 2; }
	@$(BIN)/python -m pytest tests/conf/test_network_contract.py --network '$(NAME)' --timeout 1800

.PHONY: lint
lint: setup ## ruff, format check, types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

.PHONY: format
format: setup ## let ruff mend and format
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

.PHONY: wheel
wheel: setup ## build the wheel into dist/
	@$(BIN)/python -m build --wheel --no-isolation --outdir dist

.PHONY: clean
clean: ## remove .venv and caches; runs/ stays
	@rm -rf $(VENV) .venv-opencv4 dist build .pytest_cache .mypy_cache .ruff_cache
