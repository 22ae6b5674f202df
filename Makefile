# The two commands of the README are `make demo` and `make test`; each makes what it needs in .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -q

.PHONY: demo test check lint types imports bench peers curves lock generate chart golden clean

demo: $(VENV)/.installed
	$(BIN)/shipper demo $(DEMO)

test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest $(TESTS)

# What .ci/run does after the tests.
check: lint types imports

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed-dev
	$(BIN)/mypy

imports: $(VENV)/.installed-dev
	$(BIN)/lint-imports

bench: $(VENV)/.installed-dev
	$(BIN)/python -m tests.bench $(BENCH)

# The same lines through shipper and through the OpenTelemetry Collector, which is built first: Go, and some minutes once.
peers: $(VENV)/.installed-dev
	$(BIN)/python -m tests.bench.peers $(PEERS)

# How cost grows with lines, replicas and their length. `make peers PEERS=--write` and `make curves CURVES=--write` put what
# they found into docs/.
curves: $(VENV)/.installed-dev
	$(BIN)/python -m tests.bench.curves $(CURVES)

# The oracle: faults from seeds around the real daemon; docs/reliability.md says what is checked.
# `make chaos SEEDS=1000`, `make chaos CHAOS="--seed 17 --keep out"`, `make chaos CHAOS="--write docs/reliability.md"`.
SEEDS ?= 50
chaos: $(VENV)/.installed-dev
	$(BIN)/python -m tests.chaos --seeds $(SEEDS) --steps $(CHAOS)

# An hour of pods that come and go: memory, files, tasks and buffer are flat, and nothing is lost; docs/soak.md.
MINUTES ?= 60
soak: $(VENV)/.installed-dev
	$(BIN)/python -m tests.soak --minutes $(MINUTES) $(SOAK)

# What others send, changed a little, to every reader of it; docs/testing.md. `make fuzz RUNS=1000000 FUZZ="--target http2"`.
RUNS ?= 100000
fuzz: $(VENV)/.installed-dev
	$(BIN)/python -m tests.fuzz --runs $(RUNS) $(FUZZ)

# Pages, schema and stubs that are generated from declarations; tests compare them.
generate: $(VENV)/.installed-dev
	$(BIN)/python -m shipper.config.reference
	$(BIN)/shipper schema > config/shipper.schema.json
	$(BIN)/python -m shipper.telemetry.reference
	$(BIN)/python -m helm.generate
	sh proto/generate.sh

# The chart's schema, README and dashboard, from its values.yaml, the configuration's schema and helm/generate.
chart: $(VENV)/.installed-dev
	$(BIN)/python -m helm.generate

# The committed renderings of the chart, with the helm that SHIPPER_TEST_HELM names; read the difference.
golden: chart
	$(BIN)/python -m tests.helm.golden

# constraints.txt: the versions that CI installs.
lock: $(VENV)/.installed-dev
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --no-header --no-annotate --extra dev \
		pyproject.toml -o constraints.txt

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit("shipper needs Python 3.11 or newer; PYTHON=python3.12 make ... names another one" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "installing shipper into $(VENV) ..."
	@$(PIP) install -c constraints.txt -e .
	@touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "installing shipper and its test tools into $(VENV) ..."
	@$(PIP) install -c constraints.txt -e '.[dev]'
	@touch $@ $(VENV)/.installed

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis
