# Everything runs from a checkout with Python 3.11 or newer, git and make; `bootstrap.py` fetches the rest into .venv.
# No name here is a file.
.PHONY: demo up test check audit walls bench faults merges screenshots format lock messages ready ready-dev

PYTHON ?= python3
FILIERA := .venv/bin/filiera
# Checks read the settings and need a data folder, not yours.
CHECK_HOME := FILIERA_HOME=.venv/check-home
# Processes among which the tests are dealt out (tests/side_by_side.py); 0 runs them in one, as plain pytest does.
WORKERS ?= 2

demo: ready  ## the product with invented data and simulated providers; TRAFFIC=1 keeps leads coming
	@exec $(FILIERA) demo $(if $(filter 1 yes true,$(TRAFFIC)),--traffic)

up: ready  ## the product, empty
	@exec $(FILIERA) up

test: ready-dev  ## the test suite on a real PostgreSQL and a real browser; ARGS="tests/capture -x" narrows it
	.venv/bin/python -m pytest -n $(WORKERS) $(ARGS)

check: ready-dev  ## format, lint, types, direction of imports, migrations, translations, known weaknesses
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	$(CHECK_HOME) .venv/bin/mypy
	.venv/bin/lint-imports --no-logo
	$(CHECK_HOME) FILIERA_DATABASE_ROLE=owner .venv/bin/python -W ignore::RuntimeWarning -m django makemigrations --check --dry-run --settings filiera.settings
	.venv/bin/python -m filiera.platform.translations check
	.venv/bin/python scripts/audit.py

audit: ready-dev  ## known weaknesses of the locked dependencies, as far as the registries answer
	.venv/bin/python scripts/audit.py

walls: ready-dev  ## the attacks of docs/security.md (Q-30 to Q-34), with how many were tried
	.venv/bin/python -m pytest -n $(WORKERS) tests/security tests/identity $(ARGS)

bench: ready-dev  ## the figures of docs/bench.md on this machine; ONLY=Q-1,Q-2 narrows it
	.venv/bin/python -m bench $(if $(ONLY),--only $(ONLY)) $(ARGS)

faults: ready-dev  ## kills, outages and crowds of docs/faults.md; ONLY=Q-20 narrows it
	.venv/bin/python -m faults $(if $(ONLY),--only $(ONLY)) $(ARGS)

merges: ready-dev  ## merge and take back a thousand random graphs of people, table by table; N=100 for fewer
	FILIERA_GRAPHS=$(or $(N),1000) .venv/bin/python -m pytest tests/contacts/test_merge_graphs.py $(ARGS)

screenshots: ready-dev  ## take the pictures of README.md anew, from the running demo
	.venv/bin/python scripts/screenshots.py

format: ready-dev  ## write the code as `make check` wants it
	.venv/bin/ruff format .
	.venv/bin/ruff check --fix .

messages: ready-dev  ## compile the translations and name those that are missing
	.venv/bin/python -m filiera.platform.translations compile
	.venv/bin/python -m filiera.platform.translations check

lock: ready-dev  ## write the lock files anew from pyproject.toml; UPGRADE=1 takes newer versions
	.venv/bin/uv pip compile $(LOCK) pyproject.toml --all-extras -o requirements.lock
	.venv/bin/uv pip compile $(LOCK) pyproject.toml --extra embedded --extra frontend -c requirements.lock -o requirements-runtime.lock
	.venv/bin/uv pip compile $(LOCK) --group compare -c requirements.lock -o requirements-compare.lock
	printf 'uv\nsetuptools>=75\n' | .venv/bin/uv pip compile $(LOCK) - -c requirements.lock -o requirements-bootstrap.lock

LOCK := --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links $(if $(UPGRADE),--upgrade)

ready:
	@$(PYTHON) bootstrap.py

ready-dev:
	@$(PYTHON) bootstrap.py --dev
