# One line a target. PYTHON=python3.12 chooses the Python of .venv, TORCH=cpu or TORCH=gpu the build of torch.
PYTHON ?= python3
RUN = .venv/bin/python -m
export SCST_STARTED := $(shell date +%s)
export SCST_MAKE := $(shell echo $$PPID)
export TORCH PYTHON

.PHONY: setup book teach pdf test check newest pairs hashes audit clean

setup: ; @$(PYTHON) tools/setup.py
book: setup ; @$(RUN) tools.build
teach: setup ; @PYTHONPATH=book/_ext $(RUN) tools.teach $(PAGES)
pdf: book ; @$(RUN) tools.pdf
test: setup ; @$(RUN) tools.test
check: setup ; @$(RUN) tools.check
newest: ; @$(PYTHON) -m tools.newest
pairs: setup ; @$(RUN) tools.pair && $(RUN) tools.environment && $(RUN) book.diagrams
hashes: ; @$(PYTHON) -m tools.hashes
audit: ; @$(PYTHON) tools/audit.py
clean: ; rm -rf _build .venv .snakemake .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage
