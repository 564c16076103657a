# One verb per task. Needs make and Python >= 3.10; everything else goes into local environments.

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python3.10 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null && echo $$p && break; done)
export PYTHONNOUSERSITE = 1
C = $(wildcard src/tcpwatch/*/*/*.[ch])

.DEFAULT_GOAL := help
.PHONY: help setup demo test hard browser suites bench instructions stack stack-test dashboards check format clean python

help: ## show the verbs
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | \
		while IFS='|' read -r verb text; do printf '%-20s %s\n' "$$verb" "$$text"; done

demo: setup ## start a real server and real clients, then tell what happened to each connection
	@.venv/bin/tcpwatch demo

test: python ## run the tests on every CPython >= 3.10 found (slow ones: hard, suites)
	@$(PYTHON) scripts/run_tests.py

hard: python ## run the hard cases there too: faults, hostile clients, collectors, fuzz
	@$(PYTHON) scripts/run_tests.py --hard

browser: setup ## drive the viewer's page in a real Chromium; pictures go to .shots
	@.venv/bin/python -m pip install -q --disable-pip-version-check -e '.[browser]'
	@.venv/bin/python -m pytest tests/browser

suites: python ## compare other people's test suites without tcpwatch and with it
	@PYTHONPATH=scripts $(PYTHON) -m suites $(SUITES)

bench: setup ## measure what it costs, beside OpenTelemetry's own instrumentation, and the viewer (20 minutes)
	@.venv/bin/python -c 'import matplotlib' 2>/dev/null || .venv/bin/pip install -q -e '.[bench]'
	@.venv/bin/python -c 'import playwright' 2>/dev/null || .venv/bin/pip install -q -e '.[browser]'
	@PYTHONPATH=scripts .venv/bin/python -m bench $(if $(ROUNDS),--quick --rounds $(ROUNDS))
	@PYTHONPATH=scripts .venv/bin/python -m bench_viewer $(if $(ROUNDS),--seconds 10)

instructions: setup ## count instructions per request; fail if they grew by a tenth (minutes)
	@PYTHONPATH=scripts .venv/bin/python -m bench.gate $(if $(ACCEPT),--accept)

stack: setup ## run Jaeger, Prometheus, a Collector and servers under load, without Docker (needs Go)
	@.venv/bin/python -m pip install -q --disable-pip-version-check -e '.[stack]'
	@PYTHONPATH=scripts .venv/bin/python -m stack

stack-test: setup ## test deploy/ against these real programs (the first time builds them: 10 minutes)
	@.venv/bin/python -m pip install -q --disable-pip-version-check -e '.[stack]'
	@PYTHONPATH=scripts .venv/bin/python -m stack build
	@.venv/bin/python -m pytest tests/stack tests/load tests/dashboards

dashboards: setup ## build dashboards/*.json from the names of the contract (Python 3.11 or newer)
	@.venv/bin/python -c 'import grafana_foundation_sdk' || \
		{ echo "Grafana's SDK needs Python 3.11 or newer: make dashboards PYTHON=python3.13" >&2; exit 1; }
	@PYTHONPATH=scripts .venv/bin/python -m dashboards

check: setup ## lint, format and types, changing nothing
	@.venv/bin/ruff check
	@.venv/bin/ruff format --check
	@.venv/bin/clang-format --dry-run --Werror $(C)
	@.venv/bin/mypy

format: setup ## put the code into shape
	@.venv/bin/ruff check --fix
	@.venv/bin/ruff format
	@.venv/bin/clang-format -i $(C)

setup: python ## make the local environment .venv
	@$(PYTHON) scripts/environments.py

clean: ## remove what the other verbs made
	rm -rf .venv .venvs .suites .shots .stack dist .hypothesis .mypy_cache .pytest_cache .ruff_cache
	rm -f src/tcpwatch/*/*/*.so
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

python:
	@test -n "$(PYTHON)" || { echo "tcpwatch needs Python 3.10 or newer on PATH" >&2; exit 1; }
