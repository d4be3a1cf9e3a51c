"""``firstread backfill --studies``: Orthanc, DCMTK's dcmqrscp, and archives that take no lists of UIDs."""

import contextlib
import csv
import subprocess

import admissions as made_up
import foreign
import pytest
import servers
from conftest import make_film
from pydicom.uid import generate_uid
from sqlalchemy import select, update
from test_backfill import Archive, add, archive_and_node, backfilling, instances, node_of, states

from daemon import backfill, study_list
from storage import database
from storage.tables import backfill_study, film

KEY = "0123456789abcdef0123456789abcdef"


def of_study(uid, **changes):
    return make_film(StudyInstanceUID=uid, SeriesInstanceUID=generate_uid(), **changes)


def listed(folder, uids):
    """A file with such a list, and the arguments that name it."""
    (folder / "studies.txt").write_text("".join(f"{uid}\n" for uid in uids), encoding="utf-8")
    return "--studies", str(folder / "studies.txt")


@contextlib.contextmanager
def dcmqrscp_and_node(folder, films, **settings):
    """DCMTK's archive, which holds some films, and a node that may ask it."""
    program, store = foreign.require("dcmqrscp", "dcmtk"), foreign.require("storescu", "dcmtk")
    port = servers.free_port()
    node = node_of(folder, port, **settings)
    (folder / "archive").mkdir()
    (folder / "dcmqrscp.cfg").write_text(
        f"NetworkTCPPort = {port}\nMaxPDUSize = 16384\nMaxAssociations = 16\n"
        f"HostTable BEGIN\nfirstread = (FIRSTREAD, localhost, {node.port})\nHostTable END\n"
        "VendorTable BEGIN\nVendorTable END\n"
        f"AETable BEGIN\nPACS {folder}/archive RW (1000, 1024mb) ANY\nAETable END\n",
        encoding="utf-8",
    )
    (folder / "films").mkdir()
    for ds in films:
        ds.save_as(folder / "films" / f"{ds.SOPInstanceUID}.dcm", enforce_file_format=True)
    with (folder / "dcmqrscp.log").open("wb") as log:
        server = subprocess.Popen([program, "-c", folder / "dcmqrscp.cfg"], stdout=log, stderr=log)
        try:
            servers.wait_until(lambda: servers.accepts(port))
            to = ["-aec", "PACS", "127.0.0.1", str(port), "+sd", folder / "films"]
            subprocess.run([store, *to], check=True, capture_output=True)
            yield node
        finally:
            servers.end(server)
            node.engine.dispose()


def test_films_of_the_studies_of_a_cohort_come_and_are_copied_without_names(tmp_path):
    """From the table of admissions to films that name nobody, by way of the archive."""
    uids = [f"1.2.826.9.{number}" for number in range(4)]
    films = [of_study(uids[0]), of_study(uids[1]), of_study(uids[1], ViewPosition="LL")]
    others = [of_study(uids[2], Modality="CT"), of_study("1.2.826.9.99")]
    with archive_and_node(tmp_path) as (orthanc, node):
        add(orthanc, *films, *others)
        rows = [
            {
                "patient": f"MRN{number}", "admission": "1", "examined_at": "2026-03-01", "suspected": "1",
                "study_instance_uid": uid, "read": "none", "codes": "I10", "position": "lying",
            }
            for number, uid in enumerate(uids)
        ]  # fmt: skip
        made_up.write(tmp_path / "admissions.csv", rows)
        (tmp_path / "key").write_text(KEY, encoding="utf-8")
        text = node.config.read_text(encoding="utf-8")
        study = f'[study]\nadmissions = "{tmp_path}/admissions.csv"\nkey_file = "{tmp_path}/key"\n'
        sizes = "training = [2, 0, 0, 0]\ntest = [2, 0, 0, 0]\n"
        node.config.write_text(f"{text}\n{study}{sizes}", encoding="utf-8")
        assert node.firstread("cohort", "--out", str(tmp_path / "study")).returncode == 0
        links = str(tmp_path / "study" / "links.csv")
        counted = node.firstread("backfill", "--studies", links, "--dry-run")
        with node.running("receive"):
            done = node.firstread("backfill", "--studies", links)
        assert node.firstread("read", "--once").returncode == 0
        jobs = node.films()
        copied = node.firstread("deidentify", str(tmp_path / "study"), "--out", str(tmp_path / "without"))
        with (tmp_path / "without" / "manifest.csv").open(newline="", encoding="utf-8") as lines:
            manifest = list(csv.DictReader(lines))
    assert counted.stdout.startswith(
        f"4 studies: 3 films, 0 of them here already\n1 study not in the archive:\n  {uids[3]}\n3 would be"
    )
    assert (done.returncode, done.stdout) == (
        0,
        "3 films came, 0 were here already, 0 did not come, 0 are left\n"
        f"1 study not in the archive:\n  {uids[3]}\n"
        f"1 study in the archive without such films:\n  {uids[2]}\n",
    )
    assert {(row.sop_instance_uid, row.retrospective) for row in jobs} == {
        (ds.SOPInstanceUID, True) for ds in films
    }
    # The lateral film is skipped, and is none of the study's.
    assert copied.returncode == 0, copied.stderr
    assert [line.split(maxsplit=1) for line in copied.stdout.splitlines()] == [
        ["2", "copied"],
        ["2", "not here"],
    ]
    assert len(manifest) == 2


def test_studies_of_dcmqrscp_come_after_a_kill_and_once(tmp_path):
    films = [of_study(generate_uid()) for _ in range(5)]
    uids = [ds.StudyInstanceUID for ds in films]
    absent = [generate_uid() for _ in range(2)]
    with dcmqrscp_and_node(tmp_path, films, films_a_minute=60) as node, node.running("receive"):
        asked = listed(tmp_path, [*uids, absent[0], *uids, absent[1]])
        with backfilling(node, *asked) as (process, _):
            servers.wait_until(
                lambda: states(node).count("ARRIVED") >= 2 and "ASKED" not in states(node), 120
            )
            process.kill()
        came = states(node).count("ARRIVED")
        # The same studies in another order are the same list.
        done = node.firstread("backfill", *listed(tmp_path, [*absent, *reversed(uids)]))
        again = node.firstread("backfill", *asked)
        with node.engine.begin() as connection:
            connection.execute(update(film).where(film.c.id <= 2).values(files_removed_at=film.c.received_at))
        later = node.firstread("backfill", *asked)
        log = node.log_text()
    not_found = "2 studies not in the archive:\n" + "".join(f"  {uid}\n" for uid in sorted(absent))
    assert came < len(films)
    assert "7 studies, goes on" in done.stderr
    assert (done.returncode, done.stdout) == (
        0, f"5 films came, 0 were here already, 0 did not come, 0 are left\n{not_found}"
    )  # fmt: skip
    assert (again.returncode, again.stdout) == (
        0, f"0 films came, 5 were here already, 0 did not come, 0 are left\n{not_found}"
    )  # fmt: skip
    assert "\n2 of those that were here already are no longer in the film store" in later.stdout
    assert {row.attempts for row in instances(node) if row.state == "ARRIVED"} == {1}
    assert log.count(" queued from ") == len(films)
    assert "came again" not in log


def test_a_kill_while_studies_are_asked_for_asks_for_none_of_those_again(tmp_path):
    films = [of_study(generate_uid()) for _ in range(3)]
    absent = [generate_uid() for _ in range(backfill.STUDIES_A_QUERY - 1)]

    def named(node):
        with database.reading(node.engine) as connection:
            rows = connection.execute(select(backfill_study)).all()
        return {row.study_instance_uid: (row.is_found, row.named_at) for row in rows}

    with told_archive(tmp_path, Archive, *films) as (_, node):
        first, *others = (ds.StudyInstanceUID for ds in films)
        asked = listed(tmp_path, [first, *absent, *others])
        # Nobody is there for the archive to send to.
        with backfilling(node, *asked) as (process, _):
            servers.wait_until(lambda: len(named(node)) >= backfill.STUDIES_A_QUERY, 120)
            process.kill()
        before = named(node)
        with node.running("receive"):
            done = node.firstread("backfill", *asked)
        after = named(node)
    assert done.stdout.startswith(
        "3 films came, 0 were here already, 0 did not come, 0 are left\n"
        f"{len(absent)} studies not in the archive:\n"
    )
    assert before.items() <= after.items()
    assert {uid for uid, (is_found, _) in after.items() if is_found} == {first, *others}


class RefusesLists(Archive):
    """An archive that fails a query with more than one UID."""

    def _find(self, event):
        if event.identifier["StudyInstanceUID"].VM > 1:
            yield 0xA900, None
            return
        yield from super()._find(event)


@contextlib.contextmanager
def told_archive(folder, kind, *films, **settings):
    port = servers.free_port()
    node = node_of(folder, port, **settings)
    with contextlib.closing(kind(films, port, node.port)) as archive:
        yield archive, node
    node.engine.dispose()


# The first of them matches a list by no study at all.
@pytest.mark.parametrize("kind", [Archive, RefusesLists])
def test_an_archive_that_takes_no_lists_is_asked_for_one_study_after_another(kind, tmp_path):
    films = [of_study(generate_uid()) for _ in range(3)]
    absent = generate_uid()
    with told_archive(tmp_path, kind, *films) as (_, node), node.running("receive"):
        done = node.firstread("backfill", *listed(tmp_path, [absent, *(ds.StudyInstanceUID for ds in films)]))
    assert (done.returncode, done.stdout) == (
        0,
        "3 films came, 0 were here already, 0 did not come, 0 are left\n"
        f"1 study not in the archive:\n  {absent}\n",
    )


def test_an_archive_that_refuses_a_single_study_too_ends_the_backfill_with_its_status(tmp_path):
    with told_archive(tmp_path, Archive) as (archive, node):
        archive.found = 0xC001
        done = node.firstread("backfill", *listed(tmp_path, ["1.2.3", "1.2.4"]))
    assert done.returncode == 1
    assert "PACS answered C-FIND with status 0xC001" in done.stderr
    assert instances(node) == []


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ("1.2.3\n\n 1.2.4 \r\n1.2.3\n", ("1.2.3", "1.2.4")),
        ("\ufefffilm,study_instance_uid\n2.25.1,1.2.3\n2.25.2,1.2.4\n", ("1.2.3", "1.2.4")),
        ('study_instance_uid, read\n"1.2.4",none\n\n1.2.3,none\n', ("1.2.4", "1.2.3")),
    ],
)
def test_a_list_is_lines_or_a_column(content, found, tmp_path):
    (tmp_path / "list").write_text(content, encoding="utf-8")
    assert study_list.read(tmp_path / "list") == found


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "found no study, expected one or more"),
        (b"film,study_instance_uid\n", "found no study, expected one or more"),
        (b"1.2.3\nZELENKA^JAN\n", "line 2: expected a Study Instance UID"),
        (b"study_instance_uid,read\n1.2.3,none\n,ZELENKA\n", "line 3: expected a Study Instance UID"),
        (b"uid,read\n1.2.3,none\n", "or a header with study_instance_uid in the first line"),
        (b"\xff\xfe1.2.3", "expected text in UTF-8"),
    ],
)
def test_a_list_that_is_none_is_told_and_not_quoted(content, said, tmp_path):
    (tmp_path / "list").write_bytes(content)
    done = node_of(tmp_path, 104).firstread("backfill", "--studies", str(tmp_path / "list"))
    assert done.returncode == 2
    assert said in done.stderr
    assert "ZELENKA" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--studies", "/absent"], "/absent: No such file or directory, expected a file that lists studies"),
        (["--studies", "/absent", "--to", "2026-01-01"], "found --to beside --studies"),
        (["--studies", "/absent", "--from", "2026-01-01"], "not allowed with argument"),
        ([], "one of the arguments --from --studies is required"),
    ],
)
def test_what_is_asked_for_is_days_or_studies(arguments, said, tmp_path):
    done = node_of(tmp_path, 104).firstread("backfill", *arguments)
    assert done.returncode == 2
    assert said in done.stderr
