"""firstread models, and the config file that promote writes."""

import json
import os
import stat
import tomllib
from pathlib import Path

import pytest

from daemon import config, config_edit
from daemon.config_file import BadConfig
from model.weights import available

SHIPPED = Path(__file__).parents[1] / "etc" / "firstread.toml"


@pytest.fixture
def shipped(tmp_path) -> Path:
    """A copy of the shipped config file."""
    path = tmp_path / "firstread.toml"
    path.write_bytes(SHIPPED.read_bytes())
    return path


def listed(node) -> dict[str, dict]:
    done = node.firstread("models", "list", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    return {row["name"]: row for row in json.loads(done.stdout)}


def test_list_has_every_version_and_says_which_reads_and_which_is_the_shadow(node):
    node.config.write_text(node.config.read_text() + '\n[model]\nshadow = "gao-2020"\n')
    rows = listed(node)
    assert list(rows) == available()
    assert {name: row["role"] for name, row in rows.items()} == {
        "firstread-1": "reads", "gao-2020": "shadow", "gao-2020-small": "",
    }  # fmt: skip
    assert [row["networks"] for row in rows.values()] == [
        "efficientnet_lite, one for both", "gao, one a step", "gao, one a step",
    ]  # fmt: skip
    assert {row["lungs"] for row in rows.values()} == {"lungs-1 0.1.0"}
    assert all(row["weights_mib"] > 1 and row["problem"] == "" for row in rows.values())


def test_list_names_the_digest_that_readings_and_results_name(node):
    from model.reader import Reader

    rows = listed(node)
    assert rows["gao-2020"]["weights_sha256"] == Reader("gao-2020", 1).model.weights_sha256
    lines = node.firstread("models", "list").stdout.splitlines()
    assert lines[0].split()[:3] == ["name", "version", "role"]
    assert lines[1].split()[:3] == ["firstread-1", "0.3.0", "reads"]
    assert lines[1].split()[-1] == rows["firstread-1"]["weights_sha256"][:12]


def test_promote_changes_the_version_and_nothing_else_of_the_file(node):
    text = SHIPPED.read_text(encoding="utf-8").replace("#[[destination]]", "[[destination]]", 1)
    for line in ('name = "pacs"', 'ae_title = "PACS"', 'host = "pacs.example.org"', "port = 104"):
        text = text.replace(f"#{line}", line, 1)
    node.config.write_text(text, encoding="utf-8")
    done = node.firstread("models", "promote", "gao-2020")
    assert (done.returncode, done.stderr) == (0, "")
    assert "gao-2020 reads in place of firstread-1" in done.stdout
    assert "systemctl reload firstread-read" in done.stdout and "shadow" not in done.stdout
    expected = text.replace('version = "firstread-1"', 'version = "gao-2020"')
    assert node.config.read_text(encoding="utf-8") == expected
    assert node.firstread("models", "promote", "gao-2020").stdout == "gao-2020 reads already\n"


def test_promote_of_the_shadow_leaves_no_shadow(node):
    node.config.write_text('[model]\nshadow = "gao-2020"  # on trial\nversion = "gao-2020-small"\n')
    done = node.firstread("models", "promote", "gao-2020")
    assert done.returncode == 0
    assert "systemctl restart firstread-shadow" in done.stdout
    assert node.config.read_text() == '[model]\nshadow = ""  # on trial\nversion = "gao-2020"\n'


def test_promote_adds_what_the_file_does_not_say_and_leaves_another_shadow(node):
    before = node.config.read_text() + '\n[model]\n# the one on trial\nshadow = "gao-2020-small"\n'
    node.config.write_text(before)
    assert node.firstread("models", "promote", "gao-2020").returncode == 0
    after = node.config.read_text()
    assert after.startswith(before)
    assert tomllib.loads(after)["model"] == {"shadow": "gao-2020-small", "version": "gao-2020"}


def test_promote_refuses_a_version_that_is_not_there(node):
    before = node.config.read_bytes()
    done = node.firstread("models", "promote", "absent")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("firstread: found no model version 'absent', expected one of firstread-1")
    assert node.config.read_bytes() == before


def test_compare_of_a_node_without_a_shadow_says_so(node):
    node.migrate()
    done = node.firstread("models", "compare", "--days", "3")
    assert done.stdout == "no version has read in the shadow of another within 3 days\n"
    assert node.firstread("models", "compare", "--json").stdout == "[]\n"
    assert node.firstread("models", "compare", "--days", "0").returncode == 2


def test_a_change_keeps_mode_and_link_and_leaves_nothing_beside(shipped, tmp_path):
    shipped.chmod(0o640)
    link = tmp_path / "link.toml"
    link.symlink_to(shipped)
    config_edit.change(link, "model", {"version": "gao-2020"})
    assert config.load(shipped).model.version == "gao-2020"
    assert link.is_symlink() and stat.S_IMODE(shipped.stat().st_mode) == 0o640
    assert sorted(path.name for path in tmp_path.iterdir()) == ["firstread.toml", "link.toml"]


@pytest.mark.parametrize(
    ("before", "values", "said"),
    [
        ("[node]\nport = 0\n", {"version": "gao-2020"}, r"\[node\] port"),
        ("[model]\nversion = 'a'\nshadow = 'b'\n", {"version": "b"}, r"\[model\]: .*shadow is 'b'"),
        ("[node", {"version": "gao-2020"}, "not TOML"),
    ],
)
def test_a_file_with_faults_before_or_after_is_left_as_it_was(before, values, said, tmp_path):
    path = tmp_path / "firstread.toml"
    path.write_text(before)
    with pytest.raises(BadConfig, match=said):
        config_edit.change(path, "model", values)
    assert path.read_text() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_may_not_be_written_is_named_with_what_to_do(shipped, tmp_path):
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    tmp_path.chmod(0o555)
    try:
        with pytest.raises(PermissionError, match=r"firstread\.toml: .* \(sudo\)"):
            config_edit.change(shipped, "model", {"version": "gao-2020"})
    finally:
        tmp_path.chmod(0o755)
