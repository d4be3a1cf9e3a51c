"""What is installed, what may import what, and that the hooks look at files that exist."""

import ast
import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import foreign
import pytest

REPOSITORY = Path(__file__).parents[1]
# What may use an extra, for it is imported by nothing that does without; of each what it brings counts.
OPTIONAL = {
    ("model/training/", "model/evaluation/", "model/calibration.py"): ("train",),
    tuple(
        f"model/study/{name}"
        for name in (
            "accuracy.py",
            "comparison.py",
            "covariates.py",
            "curves.py",
            "delong.py",
            "equity.py",
            "intervals.py",
            "logistic.py",
            "questions.py",
            "rates.py",
            "report",
        )
    ): ("study", "train"),
    ("storage/object_store.py",): ("s3",),
    ("daemon/archive/",): ("archive", "ray", "s3"),
}
PACKAGES = ("daemon", "model", "storage")
MOST_LINES = 400
OLDEST_SETUPTOOLS = 77  # as [build-system] asks
MODULES = [path for package in PACKAGES for path in (REPOSITORY / package).rglob("*.py")]


def program(name: str) -> str:
    """A program of the environment that runs the tests."""
    return str(Path(sys.executable).parent / name)


@pytest.fixture(scope="session")
def wheel(tmp_path_factory) -> zipfile.ZipFile:
    """The wheel of the tree, built elsewhere: a build folder left in the tree is packed by the next build."""
    found = importlib.metadata.version("setuptools")
    if int(found.partition(".")[0]) < OLDEST_SETUPTOOLS:
        foreign.missing(f"setuptools {found} cannot read pyproject.toml; install firstread[dev]")
    folder = tmp_path_factory.mktemp("wheel")
    tree = folder / "tree"
    tree.mkdir()
    for package in (*PACKAGES, "tests"):
        shutil.copytree(REPOSITORY / package, tree / package, ignore=shutil.ignore_patterns("__pycache__"))
    for path in REPOSITORY.iterdir():
        if path.is_file():
            shutil.copy(path, tree)
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, tree],
        check=True, capture_output=True, cwd=folder,
    )  # fmt: skip
    (built,) = folder.glob("firstread-*.whl")
    return zipfile.ZipFile(built)


def test_wheel_holds_every_module_of_the_three_packages_and_no_other(wheel):
    packed = {name for name in wheel.namelist() if name.endswith(".py")}
    assert packed == {path.relative_to(REPOSITORY).as_posix() for path in MODULES}


def test_wheel_holds_migrations_and_weights(wheel):
    packed = set(wheel.namelist())
    wanted = ["model/versions/*/*.h5", "model/versions/*/*.toml", "model/versions/*/*.json",
              "model/finders/*/*.h5", "model/finders/*/*.toml", "model/finders/*/*.json",
              "storage/migrations/script.py.mako", "storage/migrations/versions/*.py"]  # fmt: skip
    for pattern in wanted:
        found = {path.relative_to(REPOSITORY).as_posix() for path in REPOSITORY.glob(pattern)}
        assert found, pattern
        assert found <= packed, pattern


def test_wheel_holds_nothing_else_at_its_top(wheel):
    tops = {name.partition("/")[0] for name in wheel.namelist()}
    assert tops == {*PACKAGES, f"firstread-{importlib.metadata.version('firstread')}.dist-info"}


def test_wheel_has_the_command_and_the_licence(wheel):
    (info,) = {name.partition("/")[0] for name in wheel.namelist() if ".dist-info/" in name}
    assert "firstread = daemon.cli:main" in wheel.read(f"{info}/entry_points.txt").decode()
    assert f"{info}/licenses/LICENSE" in wheel.namelist()


def test_the_three_names_belong_to_firstread_alone():
    owners = importlib.metadata.packages_distributions()
    for package in PACKAGES:
        assert set(owners[package]) == {"firstread"}
        assert importlib.util.find_spec(package).origin is not None


def libraries(paths):
    """Top-level names of what modules import from elsewhere."""
    imported = {
        name.partition(".")[0]
        for path in paths
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module]
            if isinstance(node, ast.ImportFrom) and not node.level
            else []
        )
    }
    return imported - set(sys.stdlib_module_names) - set(PACKAGES)


def test_every_library_that_is_imported_is_a_declared_dependency():
    with (REPOSITORY / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)["project"]

    def names(requirements):
        return {re.match(r"[\w-]+", one).group().lower() for one in requirements}

    node, extras = names(project["dependencies"]), project["optional-dependencies"]
    # Ray is large, and need not be here.
    owners = {"ray": ["ray"]} | importlib.metadata.packages_distributions()
    relative = {path.relative_to(REPOSITORY).as_posix(): path for path in MODULES}
    of_node = {path for name, path in relative.items() if not name.startswith(sum(OPTIONAL, ()))}
    assert {"pydantic", "tensorflow"} <= libraries(of_node)
    groups = [(of_node, node)]
    for places, brought in OPTIONAL.items():
        paths = [path for name, path in relative.items() if name.startswith(places)]
        assert paths, places
        groups.append((paths, node.union(*(names(extras[extra]) for extra in brought))))
    for paths, declared in groups:
        for name in libraries(paths):
            assert declared & {owner.lower().replace("_", "-") for owner in owners[name]}, name


def test_imports_keep_to_the_contracts():
    done = subprocess.run(
        [program("lint-imports"), "--no-cache"], cwd=REPOSITORY, capture_output=True, text=True, check=False,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


def test_daemon_takes_of_sqlalchemy_only_the_engines_type_and_the_exception():
    taken = {
        alias.name
        for path in (REPOSITORY / "daemon").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("sqlalchemy")
        for alias in node.names
    }
    assert taken <= {"Engine", "SQLAlchemyError"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(REPOSITORY).as_posix())
def test_module_is_no_longer_than_four_hundred_lines(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MOST_LINES


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_begin_with_a_docstring_and_nothing_else(package):
    for path in (REPOSITORY / package).rglob("__init__.py"):
        assert [type(node) for node in ast.parse(path.read_text(encoding="utf-8")).body] == [ast.Expr], path


def test_no_folder_of_tests_or_etc_is_a_package():
    assert [
        path for folder in ("tests", "etc", "systemd") for path in (REPOSITORY / folder).rglob("__init__.py")
    ] == []


@pytest.mark.parametrize("hook", ["ruff-check", "ruff-format", "lint-imports"])
def test_hook_looks_at_files_of_the_repository(hook, tmp_path):
    if not (REPOSITORY / ".git").exists():
        pytest.skip("not a git checkout")
    changed = "daemon/cli.py"
    done = subprocess.run(
        [program("pre-commit"), "run", hook, "--verbose", "--files", changed], cwd=REPOSITORY,
        capture_output=True, text=True, check=False,
        env=os.environ | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PRE_COMMIT_HOME": str(tmp_path), "PYTHONPATH": str(REPOSITORY),
        },
    )  # fmt: skip
    assert "Skipped" not in done.stdout, done.stdout
    assert "Passed" in done.stdout, done.stdout
