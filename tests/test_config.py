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
    "tls": config.Tls,
    "storage": config.Storage,
    "model": config.Model,
    "scope": config.Scope,
    "results": config.Results,
    "retention": config.Retention,
    "console": config.Console,
    "oidc": config.Oidc,
    "audit": config.Audit,
    "triage": config.Triage,
    "monitoring": config.Monitoring,
    "study": config.Study,
}
KINDS = {
    "dimse": config.DimseDestination,
    "dicomweb": config.DicomwebDestination,
    "hl7": config.Hl7Destination,
    "webhook": config.WebhookDestination,
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


@pytest.mark.parametrize(("table", "described"), [("modality", config.Modality), ("rule", config.Rule)])
def test_example_of_the_shipped_file_shows_every_option(table, described):
    (shown,) = shipped_with_destination()[table]
    assert list(shown) == [field.name for field in dataclasses.fields(described)]


def test_example_archive_of_the_shipped_file_shows_every_option_at_its_default():
    shown = shipped_with_destination()["backfill"]
    assert set(shown) == {field.name for field in dataclasses.fields(config.Backfill)}
    required = {key: shown[key] for key in ("ae_title", "host", "port")}
    assert config.parse({"backfill": shown}, "example").backfill == config.Backfill(**required)


@pytest.mark.parametrize("time", ["24:00", "6:00", "T2000", "20:00:00", "late", ""])
def test_a_time_that_is_none_is_told(time, tmp_path):
    archive = '[backfill]\nae_title = "PACS"\nhost = "h"\nport = 104\n'
    assert faults(f'{archive}begin = "{time}"', tmp_path) == [
        f"[backfill] begin: Value error, expected a time of the day as 20:00, found {time!r}"
    ]


def test_example_rule_of_the_shipped_file_can_be_followed():
    shown = shipped_with_destination()
    triage = {"name": "triage", "ae_title": "T", "host": "h", "port": 104}
    (rule,) = config.parse({"destination": [triage], "rule": shown["rule"]}, "example").rule
    assert rule.objects == ()


def test_shipped_file_has_an_example_of_each_kind_of_destination():
    assert [shown["kind"] for shown in shipped_with_destination()["destination"]] == list(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_example_destination_of_the_shipped_file_shows_every_option_at_its_default(kind):
    (shown,) = (one for one in shipped_with_destination()["destination"] if one["kind"] == kind)
    fields = dataclasses.fields(KINDS[kind])
    assert set(shown) == {field.name for field in fields}
    (loaded,) = config.parse({"destination": [shown]}, "example").destination
    given = {field.name: shown[field.name] for field in fields if field.default is dataclasses.MISSING}
    assert loaded == KINDS[kind](**given)


def test_a_destination_that_names_no_kind_is_spoken_to_by_dimse():
    table = {"name": "pacs", "ae_title": "PACS", "host": "h", "port": 104}
    (loaded,) = config.parse({"destination": [table]}, "source").destination
    assert loaded == config.DimseDestination(**table)


def test_a_key_of_another_kind_of_destination_is_told_with_kind_and_key(tmp_path):
    web = '[[destination]]\nkind = "dicomweb"\nname = "web"\nurl = "https://h/dicom-web"\n'
    hl7 = '[[destination]]\nkind = "hl7"\nname = "ris"\nhost = "h"\nport = 2575\n'
    unknown = "unknown; etc/firstread.toml of this release shows every table and key"
    assert faults(
        f'{web}ae_title = "PACS"\n{hl7}commitment = true\n[[destination]]\nkind = "fax"', tmp_path
    ) == [
        f"[[destination]] number 1 (dicomweb) ae_title: {unknown}",
        f"[[destination]] number 2 (hl7) commitment: {unknown}",
        "[[destination]] number 3: expected kind to be one of dimse, dicomweb, hl7, webhook, "
        "found {'kind': 'fax'}",
    ]


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ('token_file = "t"\nuser = "u"', "token_file stands beside user or password_file"),
        ('user = "u"', "user and password_file, expected both or none"),
        ('password_file = "p"', "user and password_file, expected both or none"),
    ],
)
def test_a_dicomweb_destination_has_one_kind_of_credentials(keys, said, tmp_path):
    (line,) = faults(
        f'[[destination]]\nkind = "dicomweb"\nname = "web"\nurl = "https://h/dicom-web"\n{keys}', tmp_path
    )
    assert line.startswith(f"[[destination]] number 1 (dicomweb): Value error, {said}")
    assert "found" not in line


@pytest.mark.parametrize(
    "url", ["h/x", "ftp://h/x", "http://", "http://u:p@h/", "http://h/?a=1", "http://h:0/", "http://h:99999/",
            "http://h/#a", "http://h/ x", "http://h/\\n", "http://h/\\u00e4"],
)  # fmt: skip
def test_a_url_that_is_none_of_a_service_is_refused(url, tmp_path):
    (line,) = faults(
        f'[[destination]]\nkind = "webhook"\nname = "w"\nsecret_file = "s"\nurl = "{url}"', tmp_path
    )
    assert line.startswith("[[destination]] number 1 (webhook) url: ")


def test_every_option_of_the_shipped_file_has_a_line_of_comment_above():
    lines = SHIPPED.read_text(encoding="utf-8").splitlines()
    options = [number for number, line in enumerate(lines) if re.match(r"#?[a-z_0-9]+ = ", line)]
    assert len(options) == sum(
        len(dataclasses.fields(t))
        for t in (*TABLES.values(), *KINDS.values(), config.Rule, config.Modality, config.Backfill)
    )
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


def test_a_version_is_not_its_own_shadow(tmp_path):
    (line,) = faults('[model]\nshadow = "firstread-1"', tmp_path)
    assert line == (
        "[model]: Value error, shadow is 'firstread-1', the version that reads; expected another or none"
    )


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
        + f"[model]\nbatch_size = 0\n{destination}port = 70000\n{destination}port = 104\n{destination}"
        + '[[modality]]\nae_title = "CR1"\nhost = "h"\nport = 104\n' * 2,
        tmp_path,
    )
    places = [
        "[node] port: Input should be a valid integer, found '11112'",
        "[node] accept.0: Value error, 'ChestFilmStorage', expected the keyword of a SOP class",
        "[node] ae_titel: unknown",
        "[model] batch_size: Input should be greater than or equal to 1, found 0",
        "[[destination]] number 1 (dimse) port: Input should be less than or equal to 65535, found 70000",
        "[[destination]] number 3 (dimse) port: Field required",
        "[storag]: unknown",
        "[[destination]] name: pacs stands twice, expected each once",
        "[[modality]] ae_title: CR1 stands twice, expected each once",
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
    ("table", "key"),
    [
        (t, k)
        for t, k in NUMBERS
        if t not in ("scope",) and k not in ("floor_mib", "most_gib", "s3_copies_mib", "gpu_memory_mib")
    ],
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
    monkeypatch.setattr("daemon.service.configure_logging", lambda *_: None)
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
