# Only Python 3.11 and make are assumed; everything else is set up here, once.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate

# Where PyTorch's build without CUDA is: a page or folder of wheels.
TORCH_WHEELS := https://download.pytorch.org/whl/cpu/torch/
# pip, unlike uv, reads the machine's own configuration, which may name a mirror or a folder of wheels.
TORCH := $(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements-torch.txt

LOCKS := requirements.txt requirements-serving.txt requirements-dev.txt requirements-audit.txt requirements-uv.txt requirements-study.txt

.DEFAULT_GOAL := help
.PHONY: help demo up test lint bench audit lock clean

help: ## List the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

demo: $(VENV)/installed ## Run the whole pipeline on a simulated shop, in a real Airflow, in a few minutes
	@$(BIN)/python -m deploy.local.demo

up: $(VENV)/installed ## Run Airflow and MLflow until Ctrl-C
	@$(BIN)/python -m deploy.local.up

test: $(VENV)/installed-dev ## Run all tests
	@$(BIN)/python -m pytest --numprocesses 2 --dist loadfile

lint: $(VENV)/installed-dev ## Check style, types and imports; changes nothing
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

bench: $(VENV)/installed-dev ## Measure speed and memory (see benchmarks/README.md)
	@$(BIN)/python -m benchmarks

audit: $(VENV)/uv ## Look for known vulnerabilities in everything that is locked; needs the network
	@$(PYTHON) -m venv $(VENV)-audit
	@$(BIN)/uv pip install --quiet --python $(VENV)-audit/bin/python --require-hashes --requirements requirements-audit.txt
	@for lock in $(LOCKS); do echo $$lock; $(VENV)-audit/bin/pip-audit --disable-pip --require-hashes --requirement $$lock || exit 1; done

lock: $(VENV)/uv ## Compile requirements*.in to requirements*.txt
	@$(LOCK) requirements.in --output-file requirements.txt
	@$(LOCK) requirements-dev.in --output-file requirements-dev.txt
	@$(LOCK) requirements-serving.in --output-file requirements-serving.txt
	@$(LOCK) requirements-audit.in --output-file requirements-audit.txt
	@$(LOCK) requirements-uv.in --output-file requirements-uv.txt
	@$(LOCK) requirements-study.in --output-file requirements-study.txt
	@$(LOCK) requirements-torch.in --find-links $(TORCH_WHEELS) --no-emit-find-links --output-file requirements-torch.txt

clean: ## Remove the environment and everything that was made
	@rm -rf $(VENV) $(VENV)-audit .aisle .airflow .airflow.lock .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache *.egg-info

$(VENV)/uv: requirements-uv.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11) and "Python 3.11 is needed: make PYTHON=/path/to/python3.11")'
	@echo "Setting up $(VENV) (once; a minute or two)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements-uv.txt
	@touch $@

$(VENV)/installed: $(VENV)/uv requirements.txt pyproject.toml
	@$(INSTALL) --require-hashes --requirements requirements.txt
	@$(INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/installed-dev: $(VENV)/installed requirements-dev.txt requirements-torch.txt
	@$(INSTALL) --require-hashes --requirements requirements-dev.txt
	@$(TORCH) 2>/dev/null || $(TORCH) --find-links $(TORCH_WHEELS) \
	  || echo "PyTorch cannot be installed, so the LSTM's tests will be skipped. Give its place with make TORCH_WHEELS=FOLDER"
	@touch $@
