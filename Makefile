# Each target makes its own .venv and needs nothing but Python 3.11 or newer.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test ci screenshots docs lock clean

$(VENV)/.installed: .ci/requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r .ci/requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

demo: $(VENV)/.installed  ## the whole loop on sample photographs
	$(BIN)/ptag demo

test: $(VENV)/.installed  ## all tests with coverage
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -q --numprocesses 2 --dist worksteal
	$(BIN)/coverage combine -q
	$(BIN)/coverage report

ci:  ## what runs before a change lands
	.ci/run

screenshots: $(VENV)/.installed  ## the pictures of the documentation
	$(BIN)/python scripts/screenshots

docs: $(VENV)/.installed  ## the generated pages of the documentation
	$(BIN)/python scripts/reference

lock:  ## new versions of everything
	scripts/lock

clean:
	rm -rf $(VENV) dist .coverage .coverage.*
