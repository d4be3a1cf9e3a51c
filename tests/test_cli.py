"""The command firstread as an admin meets it: answers on stdout, logs on stderr, exit status 0, 1 or 2."""

import argparse
import contextlib
import datetime
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import foreign
import pytest
import servers
from node import Node
from sqlalchemy import text

from daemon import cli, config
from daemon.config import Config
from model.weights import VERSIONS, available, open_version
from storage import claims, database, deliveries, destinations, films
from storage.deliveries import NewDelivery
from storage.films import ReceivedFilm
from storage.states import DeliveryState, FilmState

REPOSITORY = Path(__file__).parents[1]
NOW = datetime.datetime(2026, 11, 25, 0, 0, tzinfo=datetime.UTC)
LONG_RUNNING = ("run", "receive", "read", "send", "console")


@pytest.fixture
def jobs(node) -> Node:
    """A node with jobs 1 (READ, one result SENT and one FAILED), 2 (SKIPPED), 3 (FAILED) and 4 (QUEUED)."""
    database.migrate(node.engine)
    for number in range(1, 5):
        enqueue(node, number)
    claims.claim(node.engine, "read@host:1", 3, NOW, NOW)
    new = [NewDelivery(kind, "pacs", "1.2", f"2.25.{kind}", "results/bb/x.dcm") for kind in ("SC", "SR")]
    films.finish_read(node.engine, 1, "read@host:1", NOW, {"decision": "normal"}, new)
    films.finish(node.engine, 2, "read@host:1", FilmState.SKIPPED, NOW, "OUT_OF_SCOPE: found LATERAL")
    films.finish(node.engine, 3, "read@host:1", FilmState.FAILED, NOW, "UNREADABLE: found no pixels")
    for one, state, status in zip(
        deliveries.claim(node.engine, "pacs", "send@host:2", 2, NOW, NOW),
        (DeliveryState.SENT, DeliveryState.FAILED),
        (0x0000, 0xA900),
        strict=True,
    ):
        deliveries.finish(node.engine, "send@host:2", [deliveries.Finished(one, state, NOW, status, "")])
    return node


def enqueue(node: Node, number: int) -> None:
    received = ReceivedFilm(
        f"1.2.{number}", "1.2", "1.5", f"A{number}", "CR", "1.2.840.10008.1.2.1", f"{number:064x}", 10,
        "films/aa/x.dcm", "MODALITY", "FIRSTREAD", "127.0.0.1",
    )  # fmt: skip
    films.enqueue(node.engine, received, NOW)


def answer(node: Node, *arguments: str) -> list[str]:
    """Lines of a verb that succeeds and logs nothing."""
    done = node.firstread(*arguments)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def complaint(node: Node, *arguments: str) -> str:
    """The one line of a verb that finds a problem and answers nothing."""
    done = node.firstread(*arguments)
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("firstread: ")]
    assert "Traceback" not in done.stderr
    return line.removeprefix("firstread: ")


def states(node: Node) -> tuple[list[str], list[str]]:
    return [row.state for row in node.films()], [row.state for row in node.deliveries()]


def test_tail_tells_the_last_moves_newest_last(jobs):
    lines = answer(jobs, "tail")
    assert len(lines) == 16
    assert lines[0].split()[2:] == ["job", "1", "film", "->", "QUEUED"]
    assert lines[-1].split()[2:] == ["job", "1", "SR", "to", "pacs", "SENDING", "->", "FAILED"]


def test_tail_in_json_is_one_object_a_line(jobs):
    rows = [json.loads(line) for line in answer(jobs, "tail", "--json")]
    assert [row["id"] for row in rows] == sorted(row["id"] for row in rows)
    assert (rows[-1]["film_id"], rows[-1]["kind"], rows[-1]["to_state"]) == (1, "SR", "FAILED")
    assert datetime.datetime.fromisoformat(rows[-1]["at"]) == NOW


def test_tail_of_a_state_tells_only_moves_to_it(jobs):
    lines = answer(jobs, "tail", "--state", "SKIPPED")
    assert len(lines) == 1
    assert lines[0].endswith("READING -> SKIPPED   OUT_OF_SCOPE: found LATERAL")


@contextlib.contextmanager
def following(node: Node, *more: str):
    process = subprocess.Popen(
        node.command("tail", "-f", *more), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        servers.end(process)
        process.stdout.close()
        process.stderr.close()


def test_tail_that_follows_tells_a_new_event_when_it_comes(jobs):
    with following(jobs, "--state", "QUEUED") as process:
        assert [process.stdout.readline().split()[3] for _ in range(4)] == ["1", "2", "3", "4"]
        for number in range(5, 60):  # more than the lines it began with
            enqueue(jobs, number)
        assert [int(process.stdout.readline().split()[3]) for _ in range(5, 60)] == list(range(5, 60))
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
        assert process.stderr.read() == ""


def test_tail_that_follows_tells_when_a_destination_takes_nothing_and_when_it_is_back(jobs):
    with following(jobs, "--state", "QUEUED") as process:
        for _ in range(4):
            process.stdout.readline()
        destinations.went_down(jobs.engine, "pacs", "send@host:2", NOW, "no association")
        line = process.stdout.readline()
        assert line.startswith("destination pacs takes nothing since ") and line.endswith(
            ": no association\n"
        )
        destinations.answered(jobs.engine, "pacs", NOW, True)
        assert process.stdout.readline() == "destination pacs is back\n"


def test_tail_ends_quietly_when_its_reader_has_enough(jobs):
    with following(jobs) as process:
        process.stdout.readline()
        process.stdout.close()
        enqueue(jobs, 5)
        assert process.wait(20) == 0
        assert process.stderr.read() == ""


def test_show_has_the_film_its_history_and_its_deliveries(jobs):
    lines = answer(jobs, "show", "1")
    said = dict(line.split(maxsplit=1) for line in lines[: lines.index("")])
    assert (said["state"], said["decision"], said["accession_number"]) == ("READ", "normal", "A1")
    assert sum("->" in line for line in lines) == 9
    assert "  SC to pacs: SENT 0x0000, attempt 1" in [line.rstrip() for line in lines]
    assert "  SR to pacs: FAILED 0xA900, attempt 1" in [line.rstrip() for line in lines]


def test_requeue_puts_skipped_and_failed_films_and_failed_deliveries_back(jobs):
    assert answer(jobs, "requeue", "1", "2", "3") == [
        "job 1: 1 deliveries queued again",
        "job 2: queued again",
        "job 3: queued again",
    ]
    assert states(jobs) == (["READ", "QUEUED", "QUEUED", "QUEUED"], ["SENT", "PENDING"])


def test_requeue_does_the_others_when_one_job_cannot_be_put_back(jobs):
    done = jobs.firstread("requeue", "4", "99", "2")
    assert (done.returncode, done.stdout) == (1, "job 2: queued again\n")
    assert done.stderr.splitlines() == [
        "job 4: not requeued: QUEUED to QUEUED, expected from QUEUED: FAILED, READING",
        "job 99: not requeued: no job 99",
    ]


def test_show_of_a_job_that_is_not_there_is_a_problem(jobs):
    assert complaint(jobs, "show", "99") == "no job 99"


@pytest.mark.parametrize(
    "arguments",
    [[], ["fetch"], ["tail", "--state", "DONE"], ["show"], ["show", "x"], ["requeue"], ["receive", "--once"]],
)
def test_wrong_usage_ends_with_2_and_the_usage(arguments, node):
    done = node.firstread(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("usage: firstread")


@pytest.mark.parametrize("verb", [("tail",), ("show", "1"), ("requeue", "1")])
def test_look_into_a_database_that_is_not_made_yet_does_not_make_it(verb, node):
    said = complaint(node, *verb)
    assert said == f"database {node.url}: not made yet; the node makes it when it starts"
    assert [path.name for path in node.folder.iterdir()] == ["firstread.toml"]


def test_look_into_a_database_without_tables_is_a_problem(node):
    with node.engine.connect():
        pass
    assert "found schema none, expected 0" in complaint(node, "tail")


@pytest.mark.parametrize("verb", [*LONG_RUNNING, "tail", "migrate"])
def test_database_of_a_newer_release_is_left_alone(verb, jobs):
    with jobs.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    newest = database.newest_revision()
    assert complaint(jobs, verb).startswith(f"database has schema 9999, newer than {newest} of this release")
    assert not servers.accepts(jobs.port)
    assert not (jobs.folder / "spool").exists()


def test_migrate_says_from_which_schema_to_which(node):
    newest = database.newest_revision()
    said = [node.firstread("migrate").stdout for _ in range(2)]
    assert said == [
        f"database {node.url}: from schema none to {newest}\n",
        f"database {node.url}: at schema {newest} already\n",
    ]


@pytest.mark.parametrize("verb", LONG_RUNNING)
def test_folder_of_the_database_that_is_not_there_is_named(verb, tmp_path):
    node = Node(tmp_path, database_url=f"sqlite:///{tmp_path}/absent/firstread.db")
    assert complaint(node, verb) == f"database {node.url} not reachable: unable to open database file"
    node.engine.dispose()


@pytest.mark.parametrize("verb", [*LONG_RUNNING, "tail"])
def test_postgresql_that_does_not_answer_is_named_without_its_password(verb, tmp_path):
    password = tmp_path / "password"
    password.write_text("s3cret\n", encoding="utf-8")
    node = Node(
        tmp_path,
        database_url=f"postgresql+psycopg://firstread@/firstread?host={tmp_path}",
        tables={"storage": {"database_password_file": str(password)}},
    )
    said = complaint(node, verb)
    assert (
        said.startswith("database postgresql+psycopg://firstread:***@/firstread") and "not reachable" in said
    )
    assert "s3cret" not in said
    assert not servers.accepts(node.port)


@pytest.mark.parametrize("verb", ["run", "read", "tail"])
def test_password_file_that_is_not_there_is_named(verb, tmp_path):
    node = Node(tmp_path, tables={"storage": {"database_password_file": "/absent"}})
    said = complaint(node, verb)
    assert said == "[storage] database_password_file /absent: No such file or directory"


@pytest.mark.parametrize("verb", ["run", "read"])
def test_model_version_that_is_not_there_ends_the_command_before_anything_started(verb, tmp_path):
    node = Node(tmp_path, tables={"model": {"version": "absent"}})
    known = ", ".join(available())
    assert (
        complaint(node, verb)
        == f"found no model version 'absent', expected one of {known}, or a folder's path"
    )
    assert not servers.accepts(node.port)


@pytest.fixture
def spoilt(node, tmp_path):
    """Runs a verb with a copy of the package ``model`` whose weights a function has spoilt."""
    copy = tmp_path / "site"
    shutil.copytree(REPOSITORY / "model", copy / "model", ignore=shutil.ignore_patterns("__pycache__"))
    environment = os.environ | {"PYTHONPATH": f"{copy}{os.pathsep}{REPOSITORY}"}

    def run(*verb: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            node.command(*verb), cwd=copy, env=environment, capture_output=True, text=True, check=False
        )

    run.weights = (
        copy / "model" / open_version(Config().model.version).weights[-1].relative_to(VERSIONS.parent)
    )
    return run


@pytest.mark.parametrize("verb", ["run", "read"])
def test_weights_that_are_missing_or_not_the_right_ones_end_the_command_with_one_line(verb, spoilt, node):
    with spoilt.weights.open("ab") as file:
        file.write(b"\0")
    other = spoilt(verb)
    spoilt.weights.unlink()
    missing = spoilt(verb)
    for done, found in ((other, "found SHA-256"), (missing, "found no such file")):
        assert done.returncode == 1
        (line,) = [line for line in done.stderr.splitlines() if "Traceback" in line or "firstread: " in line]
        assert line.startswith(f"firstread: {spoilt.weights}: {found}")
        assert " ready" not in done.stderr
    assert not servers.accepts(node.port)


def test_promote_refuses_weights_that_are_not_the_right_ones_and_list_names_them(spoilt, node):
    before = node.config.read_bytes()
    with spoilt.weights.open("ab") as file:
        file.write(b"\0")
    node.config.write_bytes(before + b'\n[model]\nversion = "gao-2020"\n')
    done = spoilt("models", "promote", Config().model.version)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"firstread: {spoilt.weights}: found SHA-256")
    assert node.config.read_bytes() == before + b'\n[model]\nversion = "gao-2020"\n'
    listed = spoilt("models", "list", "--json")
    problems = {row["name"]: row["problem"] for row in json.loads(listed.stdout)}
    assert (listed.returncode, problems.pop(Config().model.version)[:20]) == (1, str(spoilt.weights)[:20])
    assert set(problems.values()) == {""}


def test_check_before_the_first_start_is_well_and_makes_nothing(node):
    done = node.firstread("check")
    assert (done.returncode, [line for line in done.stdout.splitlines() if not line.startswith("ok ")]) == (
        0,
        [],
    )
    assert [path.name for path in node.folder.iterdir()] == ["firstread.toml"]
    assert [line.split(":")[0].split(maxsplit=1)[1] for line in done.stdout.splitlines()] == [
        "config", "packages", "decoders", "database", "spool", "weights", "processes", "scores", "console",
        "audit trail",
        "destination pacs",
    ]  # fmt: skip


def test_check_of_a_node_that_has_started_names_its_parts(node):
    with node.running("receive"):
        servers.wait_until(lambda: "receive" in node.firstread("check").stdout, what="a sign of life")
        lines = node.firstread("check").stdout.splitlines()
    assert "ok      database: sqlite at this release's schema" in lines
    assert f"ok      spool: {node.folder / 'spool'}" in lines


def test_check_finds_every_problem_and_ends_with_1(spoilt, tmp_path):
    node = Node(
        tmp_path,
        {"gone": servers.free_port()},
        tables={"storage": {"floor_mib": 1 << 40}},
    )
    database.migrate(node.engine)
    with node.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    (tmp_path / "spool").mkdir()
    spoilt.weights.unlink()
    done = spoilt("check")
    problems = [line for line in done.stdout.splitlines() if line.startswith("PROBLEM ")]
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert [line.split(":")[0] for line in problems] == [
        "PROBLEM database", "PROBLEM spool", "PROBLEM weights", "PROBLEM processes",
        "PROBLEM destination gone",
    ]  # fmt: skip
    node.engine.dispose()


def test_tail_loads_neither_tensorflow_nor_anything_of_dicom():
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "daemon.cli", "--config", "/absent", "tail"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    loaded = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}
    assert {"storage", "sqlalchemy"} <= loaded
    heavy = {"tensorflow", "keras", "numpy", "pydicom", "pynetdicom", "highdicom", "alembic", "rich", "shtab"}
    assert not loaded & heavy


def verbs(parser: argparse.ArgumentParser, name: str = "") -> dict[str, argparse.ArgumentParser]:
    """Every verb, also of a verb, and its parser."""
    found = {name: parser} if name else {}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for verb, inner in action.choices.items():
                found |= verbs(inner, f"{name} {verb}".strip())
    return found


def test_there_are_verbs_within_verbs():
    assert {"tail", "models", "models promote", "config show"} <= set(verbs(cli._parser()))


@pytest.mark.parametrize("verb", verbs(cli._parser()))
def test_help_of_every_verb_ends_with_an_example_that_is_right_usage(verb):
    parser = cli._parser()
    example = verbs(parser)[verb].format_help().splitlines()[-1]
    words = shlex.split(example.removeprefix("example: "))
    assert example.startswith("example: firstread ") and verb in " ".join(words)
    if ">" in words:
        words = words[: words.index(">")]
    assert parser.parse_args(words[1:]).run is verbs(parser)[verb].get_default("run")


def test_bash_completes_verbs_and_options(tmp_path):
    bash = foreign.require("bash", "bash")
    script = tmp_path / "completion"
    script.write_text(cli_answer("completion", "bash"), encoding="utf-8")

    def completed(*words: str) -> set[str]:
        asked = f"COMP_WORDS=({shlex.join(words)}); COMP_CWORD={len(words) - 1}"
        last = shlex.quote(words[-1])
        ask = f"source {script}; {asked}; _shtab_firstread firstread {last}; echo ${{COMPREPLY[@]}}"
        done = subprocess.run(
            [bash, "-c", ask],
            capture_output=True, text=True, check=True, cwd=tmp_path,
        )  # fmt: skip
        return set(done.stdout.split())

    assert completed("firstread", "re") >= {"receive", "read", "requeue", "restore"}
    assert completed("firstread", "models", "") >= {"list", "promote", "compare"}
    assert completed("firstread", "tail", "--state", "FA") == {"FAILED"}
    assert completed("firstread", "classify", "compl") == {"completion"}  # a file


def test_zsh_gets_a_completion_for_the_command():
    assert cli_answer("completion", "zsh").startswith("#compdef firstread")


def cli_answer(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "daemon.cli", *arguments], capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    return done.stdout


def test_config_show_is_every_option_in_force_and_marks_those_not_at_their_default(node):
    text = node.firstread("config", "show").stdout
    tables = tomllib.loads(text)
    shown = config.parse(tables, "shown")
    assert shown == config.load(node.config)
    assert [*tables] == [*dict.fromkeys(tables)] == ["node", "tls", "storage", "model", "scope", "results",
                                                    "retention", "console", "oidc", "audit", "triage",
                                                    "monitoring", "study", "destination"]  # fmt: skip
    marked = [line.partition(" = ")[0] for line in text.splitlines() if "  # default: " in line]
    assert marked == ["host", "port", "database", "spool", "floor_mib", "watermark_percent", "port", "folder"]
    assert "port = 11112" not in text and "  # default: 11112" in text


def test_config_show_in_json_has_value_and_default(node):
    shown = json.loads(node.firstread("config", "show", "--json").stdout)
    assert shown["node"]["port"] == {"value": node.port, "default": 11112}
    assert shown["model"]["shadow"] == {"value": "", "default": ""}
    assert shown["destination"][0]["name"] == {"value": "pacs"}
    assert shown["destination"][0]["give_up_hours"] == {"value": 72.0, "default": 72.0}


def test_config_show_tells_no_secret(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("s3cret\n", encoding="utf-8")
    web = {"kind": "webhook", "url": "https://h/x", "secret_file": str(secret)}
    node = Node(tmp_path, {"program": web}, database_url="postgresql+psycopg://firstread:s3cret@h/firstread")
    for more in ([], ["--json"]):
        said = node.firstread("config", "show", *more).stdout
        assert str(secret) in said and "firstread:***@h/firstread" in said
        assert "s3cret" not in said


def test_doctor_tells_what_check_tells_and_what_to_do_about_each_problem(spoilt, tmp_path):
    gone = servers.free_port()
    node = Node(tmp_path, {"gone": gone}, tables={"storage": {"floor_mib": 1 << 40}})
    database.migrate(node.engine)
    (tmp_path / "spool").mkdir()
    spoilt.weights.unlink()
    checked, done = spoilt("check"), spoilt("doctor")
    lines = done.stdout.splitlines()
    assert done.returncode == checked.returncode == 1
    findings = [line.split(":")[0] for line in lines if line.startswith(("ok ", "PROBLEM "))]
    assert findings == [line.split(":")[0] for line in checked.stdout.splitlines()]
    problems = [number for number, line in enumerate(lines) if line.startswith("PROBLEM ")]
    assert [lines[number].split(":")[0] for number in problems] == [
        "PROBLEM spool", "PROBLEM weights", "PROBLEM destination gone",
    ]  # fmt: skip
    for number in problems:
        assert re.match(r" {8}\w.*:$", lines[number + 1]) and re.match(r" {12}\w", lines[number + 2])
    assert f"            df -h {tmp_path / 'spool'}" in lines
    assert "            firstread models list" in lines
    assert f"            echoscu -v -aet 'FIRSTREAD' -aec 'GONE' 127.0.0.1 {gone}" in lines
    assert lines[-1] == "problems: 3"
    node.engine.dispose()


def test_doctor_of_a_node_that_is_well_has_nothing_to_do(node):
    done = node.firstread("doctor")
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "nothing to do")


def test_doctor_tells_what_to_do_about_faults_of_the_config(node):
    node.config.write_text("[node]\nport = 0\nhots = 1\n")
    done = node.firstread("doctor")
    lines = done.stdout.splitlines()
    assert done.returncode == 1
    assert [line.split(": ")[:1] for line in lines[:2]] == [["PROBLEM config"]] * 2
    assert lines[3:] == [f"            sudoedit {node.config}", "", "problems: 2"]


def test_doctor_names_the_cure_for_a_database_by_what_is_wrong_with_it(tmp_path):
    password = tmp_path / "password"
    password.write_text("s3cret\n", encoding="utf-8")
    node = Node(
        tmp_path,
        database_url=f"postgresql+psycopg://firstread@/firstread?host={tmp_path}",
        tables={"storage": {"database_password_file": str(password)}},
    )
    said = node.firstread("doctor").stdout
    assert "            systemctl status postgresql\n" in said
    assert f"psql 'postgresql://firstread@/firstread?host={tmp_path}'" in said.replace("%2F", "/")
    assert "s3cret" not in said
    node = Node(tmp_path)
    node.migrate()
    with node.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    said = node.firstread("doctor").stdout
    assert "install the release that migrated it" in said and "systemctl status postgresql" not in said
    node.engine.dispose()
