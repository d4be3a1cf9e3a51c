#!/bin/sh
# Install the node: program, settings, units, user. `make install` calls it from the repository's root;
# with DESTDIR set everything goes below that folder and nothing of this machine is touched.
set -eu
umask 022

root=${DESTDIR:-}
program=/opt/firstread
settings=/etc/firstread
state=/var/lib/firstread
commands=${COMMANDS:-/usr/local/bin}

# What an older build left in the tree would bring modules that are no longer ours.
rm -rf build/lib build/bdist.*
"${PYTHON:-python3}" -m venv "$root$program"
# PostgreSQL's driver is small, so that a site can change to it by its config alone.
"$root$program/bin/python" -m pip install --quiet --upgrade --constraint requirements.lock ".[${EXTRAS:-postgresql}]"
rm -rf build/lib build/bdist.*
if [ -n "$root" ]; then
    # The scripts name the interpreter as it will be called once the folder is in place.
    grep -rlI "$root$program" "$root$program/bin" | xargs sed -i "s|$root$program|$program|g"
fi

install -d "$root$commands"
ln -sfn "$program/bin/firstread" "$root$commands/firstread"

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
if [ -n "$root" ]; then
    echo "installed below $root"
elif [ ! -d /run/systemd/system ]; then
    echo "installed; edit $settings/firstread.toml, then: setpriv --reuid firstread --regid firstread --clear-groups firstread run"
else
    systemctl daemon-reload
    if [ -n "$(systemctl list-units --plain --no-legend --state=active 'firstread-*.service')" ]; then
        echo "updated; the processes run the old release until: systemctl restart firstread.target"
    else
        echo "installed; edit $settings/firstread.toml, then: systemctl enable --now firstread.target"
    fi
fi
