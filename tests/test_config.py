"""The config file: what ships, and what is said of one that cannot be used."""

import dataclasses
import json
import math
import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon import cli, config, config_file
from daemon.config_file import BadConfig
from model.scope import REFUSALS

SHIPPED = Path(__file__).parents[1] / "etc" / "firstread.toml"
TABLES = {
    "node": config.Node,
    "storage": config.Storage,
    "model": config.Model,
    "scope": config.Scope,
    "results": config.Results,
}
NUMBERS = [
    (table, field.name)
    for table, dataclass in TABLES.items()
    for field in dataclasses.fields(dataclass)
    if type(field.default) in (int, float)
]


def faults(text: str, tmp_path: Path) -> list[str]:
    """Lines of the error about a config file with `text`."""
    path = tmp_path / "firstread.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(BadConfig) as raised:
        config.load(path)
    lines = str(raised.value).splitlines()
    assert all(line.startswith(f"{path}: ") for line in lines)
    return [line.removeprefix(f"{path}: ") for line in lines]


def shipped_with_destination() -> dict:
    """The shipped file, its example destination commented in."""
    return tomllib.loads(re.sub(r"(?m)^#(?=\S)", "", SHIPPED.read_text(encoding="utf-8")))


def test_shipped_file_is_every_default():
    assert config.load(SHIPPED) == config.Config()


@pytest.mark.parametrize("table", TABLES)
def test_shipped_file_shows_every_option_of_the_table(table):
    shown = tomllib.loads(SHIPPED.read_text(encoding="utf-8"))[table]
    assert list(shown) == [field.name for field in dataclasses.fields(TABLES[table])]


def test_every_table_of_the_node_stands_in_the_shipped_file():
    assert set(shipped_with_destination()) == {field.name for field in dataclasses.fields(config.Config)}


def test_example_destination_of_the_shipped_file_shows_every_option():
    (shown,) = shipped_with_destination()["destination"]
    assert list(shown) == [field.name for field in dataclasses.fields(config.Destination)]
    loaded = config.parse({"destination": [shown]}, "example").destination[0]
    assert loaded.give_up_hours == config.Destination("a", "A", "h", 1).give_up_hours


def test_every_option_of_the_shipped_file_has_a_line_of_comment_above():
    lines = SHIPPED.read_text(encoding="utf-8").splitlines()
    options = [number for number, line in enumerate(lines) if re.match(r"#?[a-z_]+ = ", line)]
    assert len(options) == sum(len(dataclasses.fields(t)) for t in (*TABLES.values(), config.Destination))
    assert all(re.match(r"# [A-Z].*[.;]", lines[number - 1]) for number in options)


def test_shipped_file_names_sop_classes_by_keyword_and_the_node_knows_them_by_uid():
    shown = tomllib.loads(SHIPPED.read_text(encoding="utf-8"))
    assert all(name.isalpha() for name in shown["node"]["accept"] + shown["scope"]["sop_classes"])
    assert "1.2.840.10008.5.1.4.1.1.1" in config.Config().node.accept
    assert "1.2.840.10008.5.1.4.1.1.1" in config.load(SHIPPED).scope.sop_classes


def test_empty_file_is_every_default(tmp_path):
    path = tmp_path / "firstread.toml"
    path.touch()
    assert config.load(path) == config.Config()


def test_reports_are_made_on_refusals_that_are_known_and_on_no_result_of_ours(tmp_path):
    known = [code for code in REFUSALS if code not in ("OWN_OUTPUT", "SOP_CLASS", "MATRIX")]
    loaded = config.parse({"results": {"report_not_analysed": known}}, "source")
    assert loaded.results.report_not_analysed == tuple(known)
    found = faults('[results]\nreport_not_analysed = ["ROTATED", "OWN_OUTPUT", "SIDEWAYS"]', tmp_path)
    expected = f"expected one of {', '.join(known)}, found"
    assert found == [
        f"[results] report_not_analysed.{number}: Value error, {code!r}, {expected} {code!r}"
        for number, code in ((1, "OWN_OUTPUT"), (2, "SIDEWAYS"))
    ]


def test_every_fault_is_told_at_once_with_its_table_and_key(tmp_path):
    destination = '[[destination]]\nname = "pacs"\nae_title = "PACS"\nhost = "h"\n'
    found = faults(
        '[node]\nport = "11112"\nae_titel = "X"\naccept = ["ChestFilmStorage"]\n[storag]\n'
        + f"[model]\nbatch_size = 0\n{destination}port = 70000\n{destination}port = 104\n{destination}",
        tmp_path,
    )
    places = [
        "[node] port: Input should be a valid integer, found '11112'",
        "[node] accept.0: Value error, 'ChestFilmStorage', expected the keyword of a SOP class",
        "[node] ae_titel: unknown",
        "[model] batch_size: Input should be greater than or equal to 1, found 0",
        "[[destination]] number 1 port: Input should be less than or equal to 65535, found 70000",
        "[[destination]] number 3 port: Field required",
        "[storag]: unknown",
        "[[destination]] name: pacs stands twice, expected each once",
    ]
    for place in places:
        assert sum(line.startswith(place) for line in found) == 1, (place, found)
    assert len(found) == len(places)


@pytest.mark.parametrize(("table", "key"), NUMBERS)
@pytest.mark.parametrize("value", ["true", '"5"', "[5]", "2026-11-25"])
def test_number_of_the_wrong_type_is_refused(table, key, value, tmp_path):
    (line,) = faults(f"[{table}]\n{key} = {value}", tmp_path)
    assert line.startswith(f"[{table}] {key}: ")


@pytest.mark.parametrize(
    ("table", "key"), [(t, k) for t, k in NUMBERS if t not in ("scope",) and k != "floor_mib"]
)
@pytest.mark.parametrize("value", ["0", "-1"])
def test_number_below_its_range_is_refused(table, key, value, tmp_path):
    (line,) = faults(f"[{table}]\n{key} = {value}", tmp_path)
    assert line.startswith(f"[{table}] {key}: ") and line.endswith(f"found {value}")


@pytest.mark.parametrize("value", ["inf", "-inf", "nan", "1e300"])
@pytest.mark.parametrize("key", ["acse_timeout_seconds", "dimse_timeout_seconds", "idle_timeout_seconds"])
def test_time_that_no_timer_takes_is_refused(key, value, tmp_path):
    (line,) = faults(f"[node]\n{key} = {value}", tmp_path)
    assert line.startswith(f"[node] {key}: ")


@pytest.mark.parametrize("title", ["", " ", "A" * 17, "BACK\\SLASH", "Ä", "TAB\t", " LEADING"])
def test_ae_title_outside_ps3_5_is_refused(title, tmp_path):
    (line,) = faults(f"[node]\nae_title = {json.dumps(title)}", tmp_path)
    assert line.startswith("[node] ae_title: ")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"[node", "not TOML: Expected ']' at the end of a table declaration"),
        (b"[node]\nport = 1\nport = 2", "not TOML: Cannot overwrite a value"),
        (b"\xff", "not TOML: 'utf-8' codec can't decode"),
    ],
)
def test_file_that_is_not_toml_is_named(content, said, tmp_path):
    path = tmp_path / "firstread.toml"
    path.write_bytes(content)
    with pytest.raises(BadConfig, match=re.escape(f"{path}: {said}")) as raised:
        config.load(path)
    assert "\n" not in str(raised.value)


def test_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(BadConfig, match=r"absent\.toml: No such file or directory; expected a config file"):
        config.load(tmp_path / "absent.toml")


@pytest.mark.parametrize("verb", ["run", "receive", "read", "send", "check"])
def test_every_fault_reaches_stderr_and_ends_the_command_with_1(verb, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("daemon.service.configure_logging", lambda: None)
    monkeypatch.setattr("signal.signal", lambda *_: None)
    path = tmp_path / "firstread.toml"
    path.write_text("[node]\nport = 0\nhots = 'h'\n[model]\nattempts = 0")
    assert cli.main(["--config", str(path), verb]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert [line.split(": ")[:3] for line in said.err.splitlines()] == [
        ["firstread", str(path), "[node] port"],
        ["firstread", str(path), "[node] hots"],
        ["firstread", str(path), "[model] attempts"],
    ]


def test_look_into_the_database_asks_nothing_of_the_other_tables(tmp_path):
    path = tmp_path / "firstread.toml"
    path.write_text("[node]\nport = 0\n[storage]\nfloor_mib = 7")
    assert config_file.load_storage(path).floor_mib == 7
    path.write_text("[storage]\nfloor_mib = -7")
    with pytest.raises(BadConfig, match=r"\[storage\] floor_mib: .* found -7"):
        config_file.load_storage(path)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", min_size=1), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(
    st.sampled_from([*TABLES, "destination"]),
    st.sampled_from([key for table in TABLES.values() for key in table.__dataclass_fields__]),
    values,
)
def test_any_value_is_taken_as_it_is_or_refused_in_one_line_that_names_it(table, key, value):
    try:
        loaded = config.parse({table: {key: value}}, "source")
    except BadConfig as error:
        lines = str(error).split("\n")
        assert all(line.startswith("source: [") for line in lines)
        assert any(table in line for line in lines)
    else:
        taken = getattr(getattr(loaded, table), key)
        assert taken == (tuple(value) if isinstance(value, list) else value) or key in (
            "accept",
            "sop_classes",
        )
        assert not isinstance(taken, float) or math.isfinite(taken)


@given(st.lists(st.sampled_from(["a", "b", "c", "d"]), max_size=5))
def test_destinations_are_loaded_unless_two_share_a_name(names):
    tables = [{"name": name, "ae_title": "PACS", "host": "h", "port": 104} for name in names]
    if len(set(names)) == len(names):
        loaded = config.parse({"destination": tables}, "source")
        assert [destination.name for destination in loaded.destination] == names
    else:
        with pytest.raises(BadConfig, match="stands twice"):
            config.parse({"destination": tables}, "source")
