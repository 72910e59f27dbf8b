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

$(READY): pyproject.toml Makefile
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
	$$install --quiet -c $(VENV)/constraints.txt -e ".[$(EXTRAS)]"
	@touch $@
