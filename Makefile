# Firstread. `make demo` and `make test` need Python, make and a network with package registries.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.PHONY: demo test bench viewer torture soak fuzz lint judges install deb lock clean

PYTHON ?= python3
BIN := .venv/bin
# apt-get may be used by root, or by whoever may become root without being asked.
ROOT := $(shell [ "$$(id -u)" = 0 ] && echo env || (sudo -n true 2>/dev/null && echo sudo -n))
JUDGES := dcmtk dicom3tools faketime libpixelmed-java default-jre-headless ghostscript haproxy iproute2 orthanc orthanc-dicomweb orthanc-python postgresql prometheus sqlite3 systemd
# Ubuntu has Chromium as a snap only, which tests cannot start.
JUDGES += $(shell . /etc/os-release && [ "$$ID" = debian ] && echo chromium)
OHIF := 3.13.2
OHIF_SHA256 := b189d3963bfc58e9394a9db8c7be75d07beb029ec211dbb126d47b62969dd3f1
AXE := 4.14.1
AXE_SHA256 := e6b0ce02b84d892e2e33e403485e7f3d6c29e2be6df65daf44d89ba564139745

demo: .venv/installed
	$(BIN)/python tests/demo.py

test: .venv/installed judges lint
	@$(MAKE) build/viewer/ohif/index.html || echo "no viewer could be fetched by npm: its tests are skipped"
	@$(MAKE) build/axe/axe.min.js || echo "no axe-core could be fetched by npm: accessibility is not judged"
	$(BIN)/python -m pytest -m alone
	$(BIN)/python -m pytest -m "not alone" --numprocesses 3 --dist loadfile

# What OHIF shows of the results; pictures of it in build/viewer.
viewer: .venv/installed judges build/viewer/ohif/index.html
	$(BIN)/python -m pytest tests/test_viewer.py

# Firstread and its peers side by side, half an hour on two idle cores; JSON to tests/bench/results.
REPETITIONS ?= 3
PARTS ?=
bench: .venv/installed judges
	PYTHONPATH=tests $(BIN)/python -m bench.run --repetitions $(REPETITIONS) $(if $(PARTS),--parts $(PARTS))

# Kills, full disk, database away and a PACS that misbehaves; then no film lost and no result doubled.
N ?= 200
KILLS ?= 20
SEED ?=
torture: .venv/installed
	$(BIN)/python tests/torture.py --films $(N) --kills $(KILLS) $(if $(SEED),--seed $(SEED)) $(MORE)

# The reader's memory over many films, none of them disturbed.
soak: .venv/installed
	$(BIN)/python tests/torture.py --films $(N) --kills 0

# What reads bytes that nobody has vouched for, each for some seconds.
SECONDS ?= 60
fuzz: .venv/installed
	$(BIN)/python -m pip install --quiet 'atheris>=3; python_version < "3.14"'
	$(BIN)/python tests/fuzz.py header $(SECONDS)
	$(BIN)/python tests/fuzz.py film $(SECONDS)

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# Programs that judge our results and stand in for our neighbours; tests that lack one say so and skip.
# Tests start their own Orthanc; the package's service, which listens on every interface, stays off.
judges:
	@missing=$$({ dpkg-query -W -f '$${Package} $${Status}\n' $(JUDGES) 2>/dev/null || true; } | awk '/ installed$$/ {print $$1}' \
	  | sort | comm -13 - <(printf '%s\n' $(JUDGES) | sort)); \
	if [ -z "$$missing" ]; then exit 0; fi; \
	if [ -n "$(ROOT)" ] && command -v apt-get >/dev/null; then \
	  if [ -d /run/systemd/system ] && [[ " $$missing " =~ orthanc ]]; then $(ROOT) systemctl mask orthanc; fi; \
	  $(ROOT) apt-get update -q; \
	  $(ROOT) env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $$missing; \
	else echo "not root: tests that need these packages are skipped:" $$missing; fi

# As OHIF's makers build it, less the two thirds of it that run networks of its own.
build/viewer/ohif/index.html: build/viewer/ohif-app-$(OHIF).tgz
	rm -rf $(@D)
	mkdir $(@D)
	tar -xzmf $< -C $(@D) --strip-components=2 --exclude=package/dist/ort package/dist

build/viewer/ohif-app-$(OHIF).tgz:
	mkdir -p $(@D)
	npm pack --silent --pack-destination $(@D) @ohif/app@$(OHIF)
	echo '$(OHIF_SHA256)  $@' | sha256sum --check --quiet

# What judges the console's pages for accessibility.
build/axe/axe.min.js: build/axe/axe-core-$(AXE).tgz
	tar -xzmf $< -C $(@D) --strip-components=1 package/axe.min.js package/LICENSE

build/axe/axe-core-$(AXE).tgz:
	mkdir -p $(@D)
	npm pack --silent --pack-destination $(@D) axe-core@$(AXE)
	echo '$(AXE_SHA256)  $@' | sha256sum --check --quiet

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

# A Debian package that needs no network to install, for machines with this one's release; in dist, or DESTDIR.
deb:
	DESTDIR="$(DESTDIR)" PYTHON="$(filter-out python3,$(PYTHON))" EXTRAS="$(EXTRAS)" sh etc/deb.sh

# Pins what a fresh environment gets today.
lock:
	rm -rf build/lock
	$(PYTHON) -m venv build/lock
	build/lock/bin/python -m pip install --quiet --upgrade pip
	build/lock/bin/python -m pip install --quiet --editable '.[dev]'
	build/lock/bin/python -m pip freeze --all --exclude pip --exclude-editable > requirements.lock

clean:
	rm -rf .venv build demo dist *.egg-info .pytest_cache .ruff_cache .hypothesis
