# Shortcuts; README.md has the commands in full.
.PHONY: install test lint types check demo api ci clean

install:
	python3 -m venv .venv && .venv/bin/pip install -q -c constraints.txt -e '.[dev]'

test:
	.venv/bin/python -m pytest

lint:
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .

types:
	.venv/bin/mypy

check: lint types test

demo:
	.venv/bin/bothways demo

# after an intended change of public names or signatures
api:
	.venv/bin/python tests/test_public_api.py

# what a submission has to pass, from a fresh environment
ci:
	.ci/run

clean:
	rm -rf build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis bothways-demo
