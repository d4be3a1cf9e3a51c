"""make install into a folder of its own; only the packages that a real one fetches are left out."""

import os
import re
import subprocess
import sys
from pathlib import Path

import foreign
import pytest

REPOSITORY = Path(__file__).parents[1]
# In the place of python3: it makes an environment whose pip fetches nothing.
PYTHON = f"""#!/bin/sh
test "$1" = "-c" && exec {sys.executable} "$@"
test "$1 $2" = "-m venv" || exit 2
mkdir -p "$3/bin"
printf '#!/bin/sh\\n' > "$3/bin/python"
printf '#!%s/bin/python\\n' "$3" > "$3/bin/firstread"
chmod 755 "$3/bin/python" "$3/bin/firstread"
"""


@pytest.fixture
def install(tmp_path):
    """A function that makes a target of the Makefile below a folder, and that folder."""
    make = foreign.require("make", "make")
    python = tmp_path / "python3"
    python.write_text(PYTHON, encoding="utf-8")
    python.chmod(0o755)
    root = tmp_path / "root"

    def run(target: str = "install") -> str:
        done = subprocess.run(
            [make, "--silent", target, f"DESTDIR={root}", f"PYTHON={python}"],
            cwd=REPOSITORY, capture_output=True, text=True, check=False, umask=0o077,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    run.root = root
    return run


def test_install_puts_everything_below_destdir(install):
    install()
    installed = {
        path.relative_to(install.root).as_posix() for path in install.root.rglob("*") if not path.is_dir()
    }
    units = {path.name for path in (REPOSITORY / "systemd").iterdir() if path.suffix != ".sysusers"}
    assert installed == {
        *(f"opt/firstread/bin/{name}" for name in ("python", "firstread")),
        *(f"etc/firstread/{path.name}" for path in (REPOSITORY / "etc").glob("firstread*")),
        *(f"usr/lib/systemd/system/{name}" for name in units),
        "usr/lib/sysusers.d/firstread.conf",
        "usr/local/bin/firstread",
    }


def test_installed_files_are_readable_by_all_and_the_state_by_its_owner_and_group(install):
    install()
    assert (install.root / "etc/firstread/firstread.toml").stat().st_mode & 0o777 == 0o644
    assert (install.root / "opt/firstread").stat().st_mode & 0o777 == 0o755
    assert (install.root / "var/lib/firstread").stat().st_mode & 0o777 == 0o750


def test_installed_command_names_its_interpreter_as_it_will_be_called(install):
    install()
    command = (install.root / "opt/firstread/bin/firstread").read_text(encoding="utf-8")
    assert command == "#!/opt/firstread/bin/python\n"
    assert (install.root / "usr/local/bin/firstread").readlink() == Path("/opt/firstread/bin/firstread")


def test_second_install_keeps_the_settings_and_renews_the_rest(install):
    install()
    settings, views = (
        install.root / "etc/firstread/firstread.toml",
        install.root / "etc/firstread/firstread.sql",
    )
    settings.write_text("# the site's own\n", encoding="utf-8")
    views.write_text("-- of an older release\n", encoding="utf-8")
    assert f"kept {settings}" in install()
    assert settings.read_text(encoding="utf-8") == "# the site's own\n"
    assert views.read_text(encoding="utf-8") == (REPOSITORY / "etc/firstread.sql").read_text(encoding="utf-8")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes users")
def test_user_of_the_units_is_made_without_a_shell(install):
    install()
    judge = foreign.require("systemd-sysusers", "systemd")
    subprocess.run([judge, f"--root={install.root}", "firstread.conf"], check=True, capture_output=True)
    users = (install.root / "etc/passwd").read_text(encoding="utf-8").splitlines()
    (user,) = [line.split(":") for line in users if line.startswith("firstread:")]
    assert (user[5], Path(user[6]).name) == ("/var/lib/firstread", "nologin")


@pytest.fixture
def package(install):
    """A function that asks dpkg-deb about the package; only its environment is not the real one."""
    dpkg_deb = foreign.require("dpkg-deb", "dpkg")
    install("deb")
    (made,) = install.root.glob("*")
    install.package = made

    def ask(*arguments: str) -> str:
        return subprocess.run(
            [dpkg_deb, *arguments[:1], made, *arguments[1:]], check=True, capture_output=True, text=True
        ).stdout

    return ask


def test_package_has_the_program_the_units_and_no_state(package):
    lines = [line.split(maxsplit=5) for line in package("--contents").splitlines()]
    assert {owner for _, owner, *_ in lines} == {"root/root"}
    names = {name.split(" -> ")[0] for *_, name in lines}
    assert {
        "./opt/firstread/bin/firstread", "./usr/bin/firstread", "./usr/lib/systemd/system/firstread.target",
        "./usr/lib/sysusers.d/firstread.conf", "./usr/share/doc/firstread/copyright",
    } <= names  # fmt: skip
    assert not [name for name in names if name.startswith(("./var", "./usr/local"))]


def test_package_keeps_what_a_site_has_changed_in_etc(package):
    contents = package("--contents")
    in_etc = re.findall(r"\./(etc/firstread/\S+)", contents)
    assert package("--info", "conffiles").split() == sorted(f"/{name}" for name in in_etc)
    assert "etc/firstread/firstread.toml" not in in_etc
    assert " ./usr/share/firstread/firstread.toml\n" in contents


def test_package_fits_the_python_that_built_it_and_no_other(package):
    minor = sys.version_info.minor
    assert f"python3 (>= 3.{minor}~), python3 (<< 3.{minor + 1})" in package("--field", "Depends")


# This machine as it is, with everything that changes in memory and gone at the end.
THROWN_AWAY = """
mount -t tmpfs tmpfs "$1" && mkdir "$1/upper" "$1/work" "$1/all" || exit 77
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$1/all" || exit 77
for one in proc dev; do mount --rbind "/$one" "$1/all/$one"; done
rm -rf "$1/all/etc/firstread" "$1/all/var/lib/firstread" "$1/all/run/systemd/system"
cp "$2" "$1/all/old.deb"
cp "$3" "$1/all/new.deb"
exec chroot "$1/all" sh -c "$4"
"""
LIFE = """
set -e
dpkg --force-depends --install /old.deb
cmp /etc/firstread/firstread.toml /usr/share/firstread/firstread.toml
stat -c '%U %a' /var/lib/firstread
echo '# of the site' > /etc/firstread/firstread.toml
echo film > /var/lib/firstread/film
dpkg --force-depends --install /new.deb < /dev/null
grep -c 'of a newer release' /usr/share/firstread/firstread.toml
cat /etc/firstread/firstread.toml
dpkg --remove firstread
cat /etc/firstread/firstread.toml
dpkg --purge firstread
test ! -e /etc/firstread && test ! -e /opt/firstread && cat /var/lib/firstread/film
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root installs packages")
def test_package_is_installed_updated_without_a_question_removed_and_purged(package, install, tmp_path):
    for judge in ("dpkg", "unshare", "systemd-sysusers"):
        foreign.require(judge, "dpkg, util-linux and systemd")
    tree, newer, place = tmp_path / "tree", tmp_path / "newer.deb", tmp_path / "place"
    place.mkdir()
    package("--raw-extract", str(tree))
    with (tree / "usr/share/firstread/firstread.toml").open("a", encoding="utf-8") as settings:
        settings.write("# of a newer release\n")
    control = tree / "DEBIAN/control"
    text = control.read_text(encoding="utf-8")
    control.write_text(re.sub("(?m)^Version: .*", "Version: 99", text), encoding="utf-8")
    subprocess.run(["dpkg-deb", "-Zxz", "-z1", "--build", tree, newer], check=True, capture_output=True)
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", THROWN_AWAY, "sh", place, install.package, newer, LIFE],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode == 77:
        pytest.skip(f"nothing can be laid over this machine: {done.stderr}")
    assert done.returncode == 0, done.stdout + done.stderr
    said = [line for line in done.stdout.splitlines() if not re.match(r"[A-Z(]", line)]
    assert [line for line in said if not line.startswith("firstread: ")] == [
        "firstread 750", "1", "# of the site", "# of the site", "film",
    ]  # fmt: skip
    assert any(line.startswith("firstread: films, results and jobs stay") for line in said)


def test_package_deletes_no_film_when_it_is_purged(package):
    lines = [line.strip() for line in package("--info", "postrm").splitlines()]
    assert [line for line in lines if re.match(r"(rm|rmdir|find|userdel)\b", line)] == [
        "rm -rf /opt/firstread",
        "rm -f /run/firstread.stopped",
        "rm -f /etc/firstread/firstread.toml",
        "rmdir --ignore-fail-on-non-empty /etc/firstread 2>/dev/null || true",
    ]
