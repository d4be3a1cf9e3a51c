#!/bin/sh
# Build the Debian package in dist, or DESTDIR: `make deb` calls it from the repository's root. It carries its whole
# environment, since machines next to a PACS have no network with package registries; so it fits one Python only.
set -eu
umask 022

# The one of the system, which the package depends on.
python=${PYTHON:-/usr/bin/python3}
out=${DESTDIR:-$PWD/dist}
root=$out/deb
version=$("$python" -c 'import tomllib; print(tomllib.load(open("pyproject.toml", "rb"))["project"]["version"])')
minor=$("$python" -c 'import sys; print(sys.version_info.minor)')
architecture=$(dpkg --print-architecture)

rm -rf "$root"
mkdir -p "$root/DEBIAN"
DESTDIR=$root PYTHON=$python EXTRAS="${EXTRAS:-postgresql}" COMMANDS=/usr/bin sh etc/install.sh
# The state belongs to a user that only the machine has; postinst makes both.
rm -r "$root/var"

# As a conffile every update would ask about it, with the node stopped, since every site changes it: postinst puts it in
# its place where there is none.
install -d "$root/usr/share/firstread"
mv "$root/etc/firstread/firstread.toml" "$root/usr/share/firstread/"

documents=$root/usr/share/doc/firstread
install -d "$documents"
install -m 0644 README.md CHANGELOG.md etc/conformance.md etc/orthanc.lua etc/dcm4chee.ldif "$documents/"
cat > "$documents/copyright" <<END
Copyright: the makers of Firstread
License: Apache-2.0; its text is in /usr/share/common-licenses/Apache-2.0
Packages in /opt/firstread have licences of their own, which lie beside them there.
END

(cd "$root" && find etc -type f -printf '/%p\n' | sort) > "$root/DEBIAN/conffiles"
install -m 0755 etc/debian/postinst etc/debian/prerm etc/debian/postrm "$root/DEBIAN/"
cat > "$root/DEBIAN/control" <<END
Package: firstread
Version: $version
Architecture: $architecture
Maintainer: ${DEBFULLNAME:-Firstread} <${DEBEMAIL:-firstread@$(hostname -f)}>
Installed-Size: $(du -sk --exclude=DEBIAN "$root" | cut -f1)
Depends: python3 (>= 3.$minor~), python3 (<< 3.$((minor + 1))), libc6, libstdc++6, procps, systemd
Recommends: ca-certificates
Suggests: postgresql, sqlite3
Section: science
Priority: optional
Description: DICOM node that reads chest X-rays and answers into the PACS
 It takes films by C-STORE, reads them with convolutional networks and sends a
 Secondary Capture with the heatmap and a Structured Report to the PACS.
 Research use only, not for diagnosis.
END
dpkg-deb --root-owner-group -Zxz -z1 --build "$root" "$out/firstread_${version}_$architecture.deb"
rm -rf "$root"
