# make demo, demo-cls: distil on embedded data; make test: the fast suite.
# They need nothing but Python >= 3.9 with pip (lint, docs and package: 3.10; test-mmcv:
# 3.9 to 3.11 and a C++ compiler), and install into an environment of their own
# once, one per stack and Python: PYTHON=python3.12 STACK=onedl. The
# versions of the README's table: PIP_CONSTRAINT=$PWD/constraints/onedl-3.13.txt
PYTHON ?= python3
VERSION := $(shell $(PYTHON) -c "import sys; print('%d.%d' % sys.version_info[:2] if sys.version_info >= (3, 9) else '')" 2>/dev/null)
ifeq ($(VERSION),)
$(error PYTHON=$(PYTHON): must be an interpreter of Python >= 3.9)
endif
# OpenMMLab's last releases know no Python after 3.12
STACK ?= $(if $(filter 3.9 3.10 3.11 3.12,$(VERSION)),openmmlab,onedl)
ifeq ($(filter $(STACK),openmmlab onedl),)
$(error STACK=$(STACK): must be openmmlab or onedl)
endif
ifeq ($(STACK)$(filter 3.9 3.10 3.11 3.12,$(VERSION)),openmmlab)
$(error STACK=openmmlab: has no release for Python $(VERSION); STACK=onedl has)
endif
VENV = .venv-$(STACK)-$(VERSION)
BIN = $(VENV)/bin
$(info stack $(STACK), Python $(VERSION), in $(VENV))
# two processes; the tests keep each of their own to one thread
PYTEST = $(BIN)/python -m pytest -q -n 2

.PHONY: demo demo-cls test test-slow test-cuda test-faults test-fuzz test-mmcv lint docs package clean

demo: $(VENV)/current
	$(BIN)/mmreviewkd demo

demo-cls: $(VENV)/current
	$(BIN)/mmreviewkd demo-cls

test: $(VENV)/current
	$(PYTEST) -m "not slow and not mmcv and not fuzz and not cuda"

test-slow: $(VENV)/current
	$(PYTEST) -m slow

# what docs/robustness.md names, slow tests too. OTHER_PYTHON: an interpreter
# with another torch, to read and resume each other's checkpoints
test-faults: $(VENV)/current
	$(PYTEST) -m "faults and not fuzz"

# what needs a GPU; tools/gpu_report.sh runs it as well
test-cuda: $(VENV)/current
	$(BIN)/python -m pytest -q -m cuda

# 10,000 damaged checkpoints (FUZZ_COUNT for another number)
test-fuzz: $(VENV)/current
	$(BIN)/python -m pytest -q -m fuzz

# the served operators against a compiled mmcv, which takes 10 minutes to build
test-mmcv: .venv-mmcv/current
	.venv-mmcv/bin/python -m pytest -q -m mmcv

# style and types; mypy needs Python >= 3.10
lint: $(VENV)/lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# the site, in site/; fails at a link or a name that leads nowhere. Material's note
# about the successor of MkDocs is turned off
docs: $(VENV)/docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# what is uploaded: dist/*.whl and dist/*.tar.gz
package: $(VENV)/lint
	rm -rf dist
	$(BIN)/python -m build
	$(BIN)/twine check --strict dist/*

$(VENV)/current: setup.py pyproject.toml mmreviewkd_mmcv_ops.pth $(wildcard requirements/*.txt)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q -r requirements/$(STACK).txt -r requirements/tests.txt -e .
	touch $@

$(VENV)/lint: $(VENV)/current requirements/lint.txt
	$(BIN)/python -m pip install -q -r requirements/lint.txt
	touch $@

$(VENV)/docs: $(VENV)/current requirements/docs.txt
	$(BIN)/python -m pip install -q -r requirements/docs.txt
	touch $@

.venv-mmcv/current: requirements/mmcv.txt
	test -x .venv-mmcv/bin/python || $(PYTHON) -m venv .venv-mmcv
	.venv-mmcv/bin/python -m pip install -q -r requirements/mmcv.txt
	MMCV_WITH_OPS=1 .venv-mmcv/bin/python -m pip install --no-build-isolation --no-binary mmcv mmcv==2.1.0
	touch $@

clean:
	rm -rf .venv-* work_dirs/demo work_dirs/demo_cls site
