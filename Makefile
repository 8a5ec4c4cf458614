# Every target makes its own virtual environment and installs what it needs. `make help` lists them.

MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo test lint style floors types bench soak testssl requirements clean

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /\1|/p' $(MAKEFILE_LIST) | while IFS='|' read -r name text; do printf '  make %-14s %s\n' "$$name" "$$text"; done

demo: ## all proxies with live traffic in this terminal; make demo ARGS="--seconds 10"
	@scripts/bootstrap run
	@.venv/bin/penstock demo $(ARGS)

test: ## all tests; make test ARGS="tests/base -k addresses" for some
	@scripts/bootstrap test
	@scripts/test-setup
	@scripts/test $(ARGS)

lint: style floors ## style, format and the floors of the house

style:
	@scripts/bootstrap test
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .

floors:
	@scripts/bootstrap test
	.venv/bin/lint-imports --no-logo

types: ## mypy, strict
	@scripts/bootstrap test
	.venv/bin/mypy

bench: ## measure against other proxies and render docs/benchmarks.md
	@scripts/bootstrap test
	@bench/setup
	@.venv/bin/python -m bench $(ARGS)

soak: ## a long run under load that must leave nothing behind
	@scripts/bootstrap test
	@scripts/test-setup
	@PENSTOCK_SOAK=1 .venv/bin/python -m pytest -m system tests/system -k soak $(ARGS)

testssl: ## testssl.sh against a listener that terminates TLS; takes minutes
	@scripts/bootstrap test
	@scripts/test-setup testssl:testssl.sh
	@PENSTOCK_TESTSSL=1 .venv/bin/python -m pytest -m system tests/system/test_testssl.py $(ARGS)

requirements: ## resolve requirements/*.txt anew; make requirements ARGS=--upgrade
	@scripts/requirements $(ARGS)

clean: ## remove what the other targets made
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
