# The README's `make demo` and `make test`, and what CI runs. Needs Python 3.11 or newer and a package index.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export RAY_AUTH_MODE := token
export TOKENIZERS_PARALLELISM := false
# where it is set, each of the many processes that tests start would compile the package anew
unexport PYTHONDONTWRITEBYTECODE

.PHONY: bench demo docs test test-slow test-rest check gpu format dist dist-files setup clean

setup: $(VENV)/.ready

$(VENV)/.ready: pyproject.toml constraints.txt
	@echo "== setting up $(VENV) (about 2 GB, a few minutes the first time)"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[demo,dev]"
	@touch $@

demo: $(VENV)/.ready
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/raytrain demo

# The documentation site in build/site; fails on a broken link, a missing reference, or a command that does not parse.
docs: $(VENV)/.ready
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict
	@echo "build/site/index.html"

# Two processes of about the same length: tests that start Ray or other processes and mostly wait, and beside them, at a
# slightly lower priority, the many short ones.
test: $(VENV)/.ready
	@$(MAKE) --jobs 2 $(if $(filter output-sync,$(.FEATURES)),--output-sync=target) test-slow test-rest

# Only files with such tests: collecting all of them takes half a minute, which the short tests have to spend.
test-slow:
	$(BIN)/python -m pytest -m "cluster or slow" $$(grep -rlE "mark.(cluster|slow)" tests --include="test_*.py" | sort)

test-rest:
	nice -n 4 $(BIN)/python -m pytest -m "not cluster and not slow"

check: $(VENV)/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Small forms of the benchmarks; ratios that fell below benchmarks/ratios.json are warnings. Three minutes on two cores.
bench: $(VENV)/.ready
	$(BIN)/python -m benchmarks.ratios

# With the machine's own Python: images with a GPU bring their torch. Writes gpu.md and gpu.json.
gpu:
	$(PYTHON) benchmarks/gpu.py --out gpu

format: $(VENV)/.ready
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# An sdist and a wheel made from it, in dist/, each checked to hold the product and nothing else.
dist: $(VENV)/.ready dist-files

dist-files:
	rm -rf dist
	$(BIN)/python -m build --outdir dist
	rm -rf build raytrain.egg-info
	$(BIN)/python .ci/check_dist.py dist

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
