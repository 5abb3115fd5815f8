# make report   set up, train the default run, build its report, print the report's path
# make test     set up and pass everything
# make docs     build the site into build/site, warnings as errors
# make notebooks  run the notebooks of the site and store their outputs
# make gpu      check and measure training on an accelerator: 8 minutes, status 2 where there is none
# make bench    measure speed: others' loops, the floor, runs side by side, the fastest way to grok
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ok
TL39 := $(VENV)/tl39

.PHONY: report test test-slow check docs notebooks compat gpu bench clean

report: $(STAMP)
	@out=$$($(BIN)/python -P -m train.run) && printf '%s\n' "$$out" && \
	$(BIN)/python -P -m interp.report "$$(printf '%s\n' "$$out" | tail -n 1)"

# files go to the workers whole, so that what the tests of a file share is made once
PARALLEL := -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

test: $(STAMP) $(TL39)/.ok
	$(MAKE) --no-print-directory -j3 check docs compat
	$(BIN)/python -m pytest $(PARALLEL)

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

docs: $(STAMP)
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build

notebooks: $(STAMP)
	$(BIN)/python docs/notebooks.py

compat: $(STAMP) $(TL39)/.ok
	PYTHONPATH=$(TL39) $(BIN)/python -m pytest tests/compat

test-slow: $(STAMP)
	$(BIN)/python -m pytest -m slow

# on another device: make gpu ARGS='--device cuda:1'; without this environment: python3 tests/gpu/check.py
gpu: $(STAMP)
	$(BIN)/python tests/gpu/check.py $(ARGS)

# the tables of docs/background/speed.md; an hour on two cores, alone on the machine
bench: $(STAMP) $(TL39)/.ok
	$(BIN)/python tests/benchmarks/steps.py --write
	$(BIN)/python tests/benchmarks/stacks.py
	$(BIN)/python tests/benchmarks/costs.py
	$(BIN)/python tests/benchmarks/precision.py
	$(BIN)/python tests/benchmarks/fast.py

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("groklens needs Python 3.11 or newer; try make PYTHON=python3.12" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python .ci/cpu_torch.py
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

# TransformerLens 3.9 in a folder of its own, laid over the same environment
$(TL39)/.ok: $(STAMP)
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --upgrade --target $(TL39) transformer-lens==3.9.0 better-abc==0.0.3
	PYTHONPATH=$(TL39) $(BIN)/python -c 'from transformer_lens import HookedTransformer'  # 3.9 it is: 4 has none
	touch $@

clean:
	rm -rf $(VENV)
