# Firstread. `make demo` and `make test` need Python, make and a network with package registries.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.PHONY: demo test lint judges install lock clean

PYTHON ?= python3
BIN := .venv/bin
# apt-get may be used by root, or by whoever may become root without being asked.
ROOT := $(shell [ "$$(id -u)" = 0 ] && echo env || (sudo -n true 2>/dev/null && echo sudo -n))
JUDGES := dcmtk dicom3tools libpixelmed-java default-jre-headless orthanc orthanc-dicomweb postgresql sqlite3 systemd

demo: .venv/installed
	$(BIN)/python tests/demo.py

test: .venv/installed judges lint
	$(BIN)/python -m pytest

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# Programs that judge our results and stand in for our neighbours; tests that lack one say so and skip.
# Tests start their own Orthanc; the package's service, which listens on every interface, stays off.
judges:
	@missing=$$(dpkg-query -W -f '$${Package} $${Status}\n' $(JUDGES) 2>/dev/null | awk '/ installed$$/ {print $$1}' \
	  | sort | comm -13 - <(printf '%s\n' $(JUDGES) | sort)); \
	if [ -z "$$missing" ]; then exit 0; fi; \
	if [ -n "$(ROOT)" ] && command -v apt-get >/dev/null; then \
	  if [ -d /run/systemd/system ] && [[ " $$missing " =~ orthanc ]]; then $(ROOT) systemctl mask orthanc; fi; \
	  $(ROOT) apt-get update -q; \
	  $(ROOT) env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $$missing; \
	else echo "not root: tests that need these packages are skipped:" $$missing; fi

.venv/installed: pyproject.toml requirements.lock
	@if ! $(PYTHON) -c 'import ensurepip' 2>/dev/null && [ -n "$(ROOT)" ] && command -v apt-get >/dev/null; then \
	  $(ROOT) apt-get update -q; $(ROOT) apt-get install -q -y python3-venv; fi
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --editable .
	touch $@

# Puts the node on this machine. DESTDIR and EXTRAS (postgresql; with a GPU: postgresql,gpu) may be set.
install:
	DESTDIR="$(DESTDIR)" PYTHON="$(PYTHON)" EXTRAS="$(EXTRAS)" sh etc/install.sh

# Pins what a fresh environment gets today.
lock:
	rm -rf build/lock
	$(PYTHON) -m venv build/lock
	build/lock/bin/python -m pip install --quiet --upgrade pip
	build/lock/bin/python -m pip install --quiet --editable '.[dev]'
	build/lock/bin/python -m pip freeze --all --exclude pip --exclude-editable > requirements.lock

clean:
	rm -rf .venv build demo dist *.egg-info .pytest_cache .ruff_cache .hypothesis
