# make demo: everything at once on simulated data. make test: what a build server checks.
PYTHON ?= python3
VENV := .venv
BENCH := .venv-bench
BIN := $(VENV)/bin

# Nothing that runs here reports to anybody.
export GX_ANALYTICS_ENABLED := false
export DAGSTER_DISABLE_TELEMETRY := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Tests start some two hundred processes: where nothing keeps what was compiled, each compiles the project anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo up real test lint bench chaos clean

demo: $(VENV)/installed
	$(BIN)/sverka demo

up: $(VENV)/installed
	$(BIN)/sverka up

real: $(VENV)/installed
	@test -n "$(DATA)" || { echo "make real DATA=folder of the sample crm_sales_opportunities"; exit 2; }
	$(BIN)/sverka real $(DATA)

test: lint
	@# Without a DAGSTER_HOME, `definitions validate` works on a temporary instance of its own.
	env -u DAGSTER_HOME $(BIN)/dagster definitions validate -w workspace.yaml
	@# One more than cores: a test waits for its sandbox and its database half of the time.
	$(BIN)/pytest -n 3

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(BENCH)/installed
	$(BENCH)/bin/python -m benchmarks

chaos: $(VENV)/installed
	$(BIN)/python -m tests.chaos --seed $(or $(SEED),1) --runs $(or $(RUNS),1000) --minutes $(or $(MINUTES),60) $(if $(TARGET),--target $(TARGET))

clean:
	@# Servers run from $(VENV), which goes too.
	-test ! -d .sverka -o ! -x $(BIN)/python || $(BIN)/python -c "from pathlib import Path; from resources import postgres; [postgres.stop_server(lock.parent) for lock in Path('.sverka').rglob('postgres.lock')]"
	rm -rf $(VENV) $(BENCH) .cache .pytest_cache .mypy_cache .ruff_cache .hypothesis build *.egg-info
	@# What a demonstration made bears its mark; any other folder may be all that a company has of its records.
	@for mark in .sverka/*/simulated; do if [ -f "$$mark" ]; then echo "rm -rf $${mark%/simulated}"; rm -rf "$${mark%/simulated}"; fi; done
	rm -rf .sverka/bench .sverka/*/bench
	@rmdir .sverka/* .sverka 2>/dev/null || true
	@for home in .sverka/*/; do if [ -d "$$home" ]; then echo "kept: $(CURDIR)/$${home%/}, which may hold a company's records"; fi; done

$(VENV)/installed: requirements.lock pyproject.toml
	@echo "making $(VENV)"
	@test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV)
	@echo "installing requirements.lock (a few minutes the first time)"
	@$(BIN)/python -m pip install --quiet --require-hashes --no-deps -r requirements.lock
	@echo "installing the project"
	@$(BIN)/python -m pip install --quiet --no-deps -e .
	@touch $@

$(BENCH)/installed: requirements-bench.lock pyproject.toml
	@echo "making $(BENCH)"
	@test -x $(BENCH)/bin/pip || $(PYTHON) -m venv $(BENCH)
	@echo "installing requirements-bench.lock (a few minutes the first time)"
	@$(BENCH)/bin/python -m pip install --quiet --require-hashes --no-deps -r requirements-bench.lock
	@$(BENCH)/bin/python -m pip install --quiet --no-deps -e .
	@touch $@
