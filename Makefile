# Every target sets up what it needs: python3 and make are enough on a fresh machine.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# Tests run in so many processes, one more than there are cores, as they often wait for a server that starts; the tests
# of one file, which share what takes long to start, in one of them. What is compiled is kept for the next process:
# half of the time that each takes to collect the tests.
TEST_PROCESSES ?= $(shell $(PYTHON) -c 'import os; print((os.cpu_count() or 1) + 1)')

.DEFAULT_GOAL := help
.PHONY: help setup format check test coverage openapi demo retrain bench bench-full bench-guard screenshots image-check outside-ci clean

help:     ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "%-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY)    ## Create the environment in .venv from constraints.txt

$(READY): pyproject.toml clients/python/pyproject.toml constraints.txt
	@echo "==> Creating $(VENV) and installing the pinned packages (a few minutes the first time)"
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed; this is " + sys.version.split()[0]) if sys.version_info < (3, 11) else None'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "python3 cannot create environments here: install its venv package (Debian, Ubuntu: apt install python3-venv)"; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[train,serve,audit,traces,test]' --editable clients/python
	@touch $@

format: $(READY)    ## Rewrite files the way the formatter likes
	@$(BIN)/ruff check --fix --quiet . ; $(BIN)/ruff format --quiet .

check: $(READY)    ## Lint, format, spelling, types, imports, schema drift (no tests)
	@echo "==> Lint and format" && $(BIN)/ruff check . && $(BIN)/ruff format --check --quiet .
	@echo "==> Spelling" && $(BIN)/codespell
	@echo "==> Types" && $(BIN)/mypy
	@echo "==> Imports" && $(BIN)/lint-imports
	@echo "==> Published schema" && $(BIN)/python -m service openapi | diff -u openapi/openapi.json - && echo "openapi/openapi.json is the app's"

test: $(READY)    ## All tests this machine can run (real-data ones where EVENHAND_DATA is set)
	@echo "==> Tests$(if $(EVENHAND_DATA), with the data in $(EVENHAND_DATA), without real data (EVENHAND_DATA is not set))"
	@env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -m pytest --numprocesses $(TEST_PROCESSES)

coverage: $(READY)    ## All tests again, and which lines of the packages none of them runs (build/coverage/index.html)
	@$(BIN)/python -m coverage run -m pytest
	@$(BIN)/python -m coverage combine --quiet && $(BIN)/python -m coverage html --quiet && $(BIN)/python -m coverage report --skip-covered --sort=cover

openapi: $(READY)    ## Rewrite openapi/openapi.json from the app
	@$(BIN)/python -m service openapi > openapi/openapi.json

demo: export DEMO_STARTED := $(shell date +%s)
demo: $(READY)    ## Train a small bundle, serve it, print requests to paste (DATA=DIR: from your own data)
	@$(BIN)/python deploy/demo.py $(if $(DATA),--data $(DATA))

retrain: $(READY)    ## Train again on what a service was told, activate it if no worse (BUNDLE=DIR of versions [SERVICE=URL])
	@$(BIN)/python deploy/retrain.py $(or $(BUNDLE),$(error BUNDLE=DIR: the folder of the service's versions)) $(if $(SERVICE),--service $(SERVICE))

bench: $(READY)    ## The serving budgets as ratios to a bare route, in one run (needs wrk)
	@$(BIN)/python benchmarks/serving.py

bench-full: $(READY)    ## Every benchmark that a CPU is enough for, into benchmarks/results (an hour; needs wrk)
	@for name in serving request activation scale index lists storage store audit_log data tables lightgcn histories traces; do \
		echo "==> benchmarks/$$name.py" && $(BIN)/python benchmarks/$$name.py || exit; \
	done

bench-guard: $(READY)    ## Fail where a request has become much dearer beside a bare route (needs wrk)
	@echo "==> What a request costs" && $(BIN)/python benchmarks/guard.py

screenshots: $(READY)    ## Pictures of the web pages and of a report in build/screenshots (needs chromium)
	@$(BIN)/python deploy/screenshots.py

image-check: $(READY)    ## Build the container and ask it for one recommendation (root, Debian's buildah and debootstrap)
	@deploy/image-check

outside-ci: $(READY)    ## The checks that CI cannot afford, noted in docs/outside-ci.md (CHECKS="image fetch": only these)
	@$(BIN)/python deploy/outside_ci.py $(CHECKS)

clean:    ## Remove the environment, caches and demo bundles
	@rm -rf $(VENV) .cache .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache bundles build *.egg-info
