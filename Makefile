# Firstread: what is done with the source tree. `make install` as root puts the node on this machine.

.PHONY: install

# DESTDIR, PYTHON (python3) and EXTRAS (postgresql; with a GPU: postgresql,gpu) may be set.
install:
	DESTDIR="$(DESTDIR)" PYTHON="$(PYTHON)" EXTRAS="$(EXTRAS)" sh etc/install.sh
