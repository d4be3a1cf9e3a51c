#!/bin/sh
# Install the node: program, settings, units, user. `make install` calls it from the repository's root;
# with DESTDIR set everything goes below that folder and nothing of this machine is touched.
set -eu
umask 022

root=${DESTDIR:-}
program=/opt/firstread
settings=/etc/firstread
state=/var/lib/firstread

# A build folder left in the tree would bring modules that are no longer ours.
rm -rf build
"${PYTHON:-python3}" -m venv "$root$program"
# PostgreSQL's driver is small, so that a site can change to it by its config alone.
"$root$program/bin/python" -m pip install --quiet --upgrade --constraint requirements.lock ".[${EXTRAS:-postgresql}]"
rm -rf build
if [ -n "$root" ]; then
    # The scripts name the interpreter as it will be called once the folder is in place.
    grep -rlI "$root$program" "$root$program/bin" | xargs sed -i "s|$root$program|$program|g"
fi

install -d "$root/usr/local/bin"
ln -sfn "$program/bin/firstread" "$root/usr/local/bin/firstread"

install -d "$root$settings" "$root/usr/lib/systemd/system" "$root/usr/lib/sysusers.d"
if [ -e "$root$settings/firstread.toml" ]; then
    echo "kept $root$settings/firstread.toml"
else
    install -m 0644 etc/firstread.toml "$root$settings/"
fi
install -m 0644 etc/firstread.sql etc/firstread-postgresql.sql "$root$settings/"
install -m 0644 systemd/*.service systemd/*.target "$root/usr/lib/systemd/system/"
install -m 0644 systemd/firstread.sysusers "$root/usr/lib/sysusers.d/firstread.conf"

install -d -m 0750 "$root$state"
if [ -z "$root" ]; then
    systemd-sysusers firstread.conf
    chown firstread:firstread "$state"
fi
if [ -z "$root" ] && [ -d /run/systemd/system ]; then
    systemctl daemon-reload
    echo "installed; edit $settings/firstread.toml, then: systemctl enable --now firstread.target"
else
    echo "installed"
fi
