"""make install into a folder of its own; only the packages that a real one fetches are left out."""

import os
import subprocess
from pathlib import Path

import foreign
import pytest

REPOSITORY = Path(__file__).parents[1]
# In the place of python3: it makes an environment whose pip fetches nothing.
PYTHON = """#!/bin/sh
test "$1 $2" = "-m venv" || exit 2
mkdir -p "$3/bin"
printf '#!/bin/sh\\n' > "$3/bin/python"
printf '#!%s/bin/python\\n' "$3" > "$3/bin/firstread"
chmod 755 "$3/bin/python" "$3/bin/firstread"
"""


@pytest.fixture
def install(tmp_path):
    """A function that installs below a folder, and that folder."""
    make = foreign.require("make", "make")
    python = tmp_path / "python3"
    python.write_text(PYTHON, encoding="utf-8")
    python.chmod(0o755)
    root = tmp_path / "root"

    def run() -> str:
        done = subprocess.run(
            [make, "--silent", "install", f"DESTDIR={root}", f"PYTHON={python}"],
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
