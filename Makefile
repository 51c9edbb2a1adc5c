# Everything runs inside .venv; nothing outside this folder is touched but pip's cache and the user's data and cache folders.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test install lint clean

demo: install ## The three networks on handwritten digits: a ranked table in a few minutes
	$(BIN)/bakeoff run studies/demo.toml

# A file a core, in the order of conftest.py. Freed memory is kept, as in bakeoff's own workers: AlexNet's tests take three quarters of the time.
# What bounds seconds runs last, alone: beside another file's trainings it would measure those.
test: install ## The whole suite
	MALLOC_MMAP_THRESHOLD_=4000000000 MALLOC_TRIM_THRESHOLD_=4000000000 \
	  $(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder -m "not nightly and not timed"
	$(BIN)/python -m pytest -m "timed and not nightly"

lint: install ## What continuous integration checks besides the tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

install: .venv/installed ## .venv with everything that development and tests need

.venv/installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

clean:
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis
