"""daemon/console/film.py, film_actions.py, cards.py and workers.py: what the page of one film is made of."""

import asyncio
import json
import os
import re
import shutil
import struct
import time
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient
from film_pages import CHEST, GARBLED, KNEE, PLANTED, TURNED, node_with_films
from pydicom import dcmread
from sqlalchemy import select

from daemon import config, service
from daemon.console import access, app, history, reading
from daemon.console.access import User
from daemon.console.workers import Busy, WorkerEnded, Workers
from daemon.results import maps
from model.pixels import display_picture
from model.scope import REFUSALS
from model.weights import open_version
from storage import database, film_maps, films
from storage.spool import Spool
from storage.states import Role
from storage.tables import film, film_map, verdict


@pytest.fixture(scope="module")
def read_once(tmp_path_factory, rg1_path):
    with node_with_films(tmp_path_factory.mktemp("film"), rg1_path) as node:
        yield node


@pytest.fixture
def node(read_once, tmp_path):
    """That node's config with a copy of its database and spool, for a test to change."""
    shutil.copytree(read_once.folder, tmp_path / "node")
    text = read_once.config.read_text(encoding="utf-8")
    copied = tmp_path / "node" / "firstread.toml"
    copied.write_text(text.replace(str(read_once.folder), str(tmp_path / "node")), encoding="utf-8")
    return config.load(copied)


@pytest.fixture
def engine(node):
    engine = service.look_into_database(node.storage)
    yield engine
    engine.dispose()


@pytest.fixture
def asked(node, engine, tmp_path):
    """The console as somebody of a role asks it."""
    application = app.make(node, engine, Spool(tmp_path / "node" / "spool"))
    with TestClient(application, base_url="http://127.0.0.1", client=("127.0.0.1", 1)) as client:
        page = client.get("/try", headers={"Accept": "text/html"}).text
        client.headers["X-CSRF-Token"] = re.search(r'name="csrf-token" content="([^"]+)"', page)[1]

        def of(role):
            application.dependency_overrides[access.current] = lambda: User(f"a-{role}", role)
            return client

        yield of


def unpacked(body):
    """What the browser makes of the answer: its JSON, table, activation and values."""
    (length,) = struct.unpack_from("<L", body)
    about = json.loads(body[4 : 4 + length])
    place = 4 + length
    table = np.frombuffer(body, np.uint8, about["levels"], place)
    rows, columns = about["activation"]
    share = np.frombuffer(body, np.uint8, rows * columns, place + len(table))
    place += len(table) + len(share)
    assert place % 2 == 0
    values = np.frombuffer(body, "<u2", -1, place).reshape(about["rows"], about["columns"])
    return about, table, share.reshape(rows, columns), values


def test_identity_is_shown_to_reader_and_admin_alone_and_never_in_the_title(asked):
    for role in Role:
        found = asked(role).get(f"/film/{CHEST}")
        assert (found.status_code, found.headers["cache-control"]) == (200, "no-store")
        is_shown = role >= Role.READER
        assert ("Planted Person" in found.text) == ("PLANTED-ID" in found.text) == is_shown
        assert ("born 1901-02-03" in found.text) == is_shown
        title = re.search(r"<title>(.*?)</title>", found.text)[1]
        assert title == "26110-4711 · Firstread"


def test_identity_is_in_no_table_and_no_log(asked, engine, read_once):
    asked(Role.ADMIN).get(f"/film/{CHEST}")
    with database.reading(engine) as connection:
        kept = [str(connection.execute(select(table)).all()) for table in film.metadata.sorted_tables]
    for text in (*kept, read_once.log_text()):
        assert not any(planted in text for planted in PLANTED)


def test_a_name_in_undeclared_letters_is_shown_with_replacement_characters(asked):
    assert "Buc J�r�me" in asked(Role.READER).get(f"/film/{GARBLED}").text


def test_the_buttons_are_those_of_the_role(asked):
    found = {role: asked(role).get(f"/film/{CHEST}").text for role in Role}
    words = ("Requeue…", "Withdraw…", 'id="disagree-dialog"')
    assert [[word in found[role] for word in words] for role in Role] == [
        [False, False, False], [True, True, True], [True, True, True],
    ]  # fmt: skip


def test_the_words_and_figures_are_those_of_the_results(asked, engine):
    with database.reading(engine) as connection:
        row, film_map = films.get(connection, CHEST), film_maps.of_film(connection, CHEST)
    said = asked(Role.VIEWER).get(f"/api/jobs/{CHEST}/reading").json()
    assert said["research_use_only"].startswith("RESEARCH USE ONLY")
    assert said["figures"] == row.reading
    assert said["headline"] == f"Highest model score: {row.decision}"
    assert said["activation"]["label"] == film_map.label
    page = asked(Role.VIEWER).get(f"/film/{CHEST}").text
    assert said["subline"] in page
    assert re.search(r"Look (first|soon), \d+|Routine, \d+", page)
    assert "PPV here" in page
    assert f"from {film_map.cell_columns} x {film_map.cell_rows} cells" in page
    assert re.search(r"\d+ % inside the lungs", page)
    assert row.reading["weights_sha256"][:12] in page
    assert "0xA900" in page
    assert "Data set does not match SOP class" in page


def test_the_browser_is_given_the_picture_that_the_results_show(asked, node, engine):
    with database.reading(engine) as connection:
        row = films.get(connection, CHEST)
    display, _ = display_picture(dcmread(Path(node.storage.spool) / row.spool_name))
    about, table, share, values = unpacked(asked(Role.VIEWER).get(f"/film/{CHEST}/picture").content)
    assert values.shape == display.shape
    assert np.abs(table[values].astype(int) - display).max() <= 1
    assert (about["marker"], about["inverse"]) == ("R", True)
    assert (about["centre"], about["width"]) == (15000, 30000)
    assert share.max() == 255
    assert len(about["lungs"]) == 2
    assert about["contour"]


def test_no_activation_is_drawn_of_an_answer_that_lies_nowhere(asked, engine):
    with engine.begin() as connection:
        figures = films.get(connection, CHEST).reading
        absence = next(iter(figures["step1"]))
        said = {"reading": figures | {"decision": absence}}
        connection.execute(film.update().where(film.c.id == CHEST).values(said))
        connection.execute(film_map.update().where(film_map.c.film_id == CHEST).values(label=absence, step=1))
    about, _, share, _ = unpacked(asked(Role.VIEWER).get(f"/film/{CHEST}/picture").content)
    assert (share.size, about["contour"], len(about["lungs"])) == (0, [], 2)
    assert "has no place to point at" in asked(Role.VIEWER).get(f"/film/{CHEST}").text


def test_the_film_is_given_at_its_own_size_when_asked(asked):
    about, *_ = unpacked(asked(Role.VIEWER).get(f"/film/{CHEST}/picture", params={"full": True}).content)
    assert (about["rows"], about["columns"]) == (1955, 1841)


def test_the_texture_of_each_lung_is_told(asked):
    found = asked(Role.VIEWER).get(f"/film/{CHEST}/texture").json()
    assert set(found) == {"right", "left"}
    assert all(0 < side["mean"] < 1 and 0 < side["entropy"] < 5 for side in found.values())
    assert asked(Role.VIEWER).get(f"/film/{KNEE}/texture").status_code == 404


@pytest.mark.parametrize(
    ("job", "code", "is_caution"), [(TURNED, "ROTATED", True), (KNEE, "NOT_CHEST", False)]
)
def test_a_film_that_is_not_read_says_why_and_is_shown_all_the_same(asked, job, code, is_caution):
    page = asked(Role.READER).get(f"/film/{job}").text
    assert f"Not analysed: {REFUSALS[code]}" in page
    assert f"rule {code}" in page
    assert "The model was not run on this film" in page
    assert ("Needs a person" in page) == is_caution
    assert ('class="tag box">SKIPPED' in page.replace("\n", "")) != is_caution
    assert asked(Role.READER).get(f"/film/{job}/picture").status_code == 200
    assert asked(Role.READER).post(f"/api/jobs/{job}/verdict", json={"opinion": "AGREE"}).status_code == 409


def test_a_failed_film_says_what_failed(asked, engine):
    with engine.begin() as connection:
        connection.execute(
            film.update().where(film.c.id == KNEE).values(state="FAILED", reason="UNREADABLE: x")
        )
    page = asked(Role.READER).get(f"/film/{KNEE}").text
    assert "Not analysed: failed" in page
    assert "UNREADABLE: x" in page


def test_a_film_that_retention_removed_says_so(asked, engine):
    with engine.begin() as connection:
        connection.execute(film.update().where(film.c.id == CHEST).values(files_removed_at=service.now()))
        connection.execute(film_map.delete().where(film_map.c.film_id == CHEST))
    page = asked(Role.READER).get(f"/film/{CHEST}").text
    assert "The film is no longer here" in page
    assert "Requeue it to have one" in page
    found = asked(Role.READER).get(f"/film/{CHEST}/picture")
    assert (found.status_code, found.json()["detail"]) == (
        410, "the film's files have been removed by retention",
    )  # fmt: skip


def test_a_reading_of_a_version_that_is_gone_is_shown_without_map_and_thresholds(asked, engine):
    with engine.begin() as connection:
        older = films.get(connection, CHEST).reading | {"model": "gone-1"}
        connection.execute(film.update().where(film.c.id == CHEST).values(reading=older))
        connection.execute(film_map.delete().where(film_map.c.film_id == CHEST))
    page = asked(Role.READER).get(f"/film/{CHEST}").text
    assert "This film was read by a release that kept no map" in page
    assert "<span>model score</span>" in page
    assert "/models/gone-1/card" not in page


def test_a_film_that_cannot_be_decoded_is_said_to_be_so(asked, node, engine):
    with database.reading(engine) as connection:
        path = Path(node.storage.spool) / films.get(connection, CHEST).spool_name
    path.write_bytes(path.read_bytes()[:20000])
    found = asked(Role.READER).get(f"/film/{CHEST}/picture")
    assert found.status_code == 422
    assert "expected" in found.json()["detail"]


def test_a_verdict_is_kept_and_shown_with_user_and_time(asked, engine):
    told = {"opinion": "DISAGREE", "finding": "other finding", "remark": "round masses"}
    assert asked(Role.VIEWER).post(f"/api/jobs/{CHEST}/verdict", json=told).status_code == 403
    assert asked(Role.READER).post(f"/api/jobs/{CHEST}/verdict", json=told).status_code == 200
    with database.reading(engine) as connection:
        (kept,) = connection.execute(select(verdict)).all()
    assert (kept.user_name, kept.opinion, kept.remark) == ("a-reader", "DISAGREE", "round masses")
    assert "disagrees, sees round masses" in asked(Role.READER).get(f"/film/{CHEST}").text
    wrong = asked(Role.READER).post(f"/api/jobs/{CHEST}/verdict", json={"opinion": "DISAGREE"})
    assert wrong.status_code == 422
    assert "expected one of normal" in wrong.json()["detail"]


def test_a_film_that_waits_again_says_so_and_why(asked):
    told = {"reason": "destination"}
    for _ in range(2):  # what failed, then the film itself
        assert asked(Role.READER).post(f"/api/jobs/{CHEST}/requeue", json=told).status_code == 200
    page = asked(Role.READER).get(f"/film/{CHEST}").text
    assert "requeued: the destination is mended, by a-reader" in page
    assert "Not read yet" in page


def test_withdrawal_tells_each_destination(asked):
    told = {"reason": "quality"}
    done = asked(Role.READER).post(f"/api/jobs/{CHEST}/withdraw", json=told)
    assert done.json() == {"done": "withdrawn; 2 destinations are told"}
    assert "Results withdrawn" in asked(Role.READER).get(f"/film/{CHEST}").text
    assert asked(Role.READER).post(f"/api/jobs/{CHEST}/withdraw", json=told).status_code == 409


def test_a_viewer_changes_nothing(asked):
    for verb, reason in (("requeue", "asked"), ("withdraw", "quality")):
        refused = asked(Role.VIEWER).post(f"/api/jobs/{CHEST}/{verb}", json={"reason": reason})
        assert refused.status_code == 403


@pytest.mark.parametrize("path", ["/film/9", "/film/9/picture", "/api/jobs/9/reading"])
def test_an_unknown_job_is_404(asked, path):
    assert asked(Role.ADMIN).get(path).status_code == 404


def test_a_card_is_text_and_its_pictures_are_served(asked):
    page = asked(Role.VIEWER).get("/models/firstread-1/card").text
    assert "<h1>firstread-1 0.3.0</h1>" in page
    pictures = re.findall(r'<img src="(card/[a-z]+\.png)"', page)
    assert len(pictures) == 3
    for picture in pictures:
        found = asked(Role.VIEWER).get(f"/models/firstread-1/{picture}")
        assert (found.status_code, found.headers["content-type"]) == (200, "image/png")
    for path in ("none/card", "firstread-1/card/none.png", "%2e%2e/card"):
        assert asked(Role.VIEWER).get(f"/models/{path}").status_code == 404


def test_what_a_job_row_keeps_gives_the_reading_back(engine):
    with database.reading(engine) as connection:
        row, film_map = films.get(connection, CHEST), film_maps.of_film(connection, CHEST)
    restored = reading.restored(row.reading, film_map)
    assert restored.decision == row.decision
    assert restored.step1.threshold == open_version("firstread-1").manifest["thresholds"]["step1"]
    assert maps.pack(restored).activation == film_map.activation


def test_statuses_have_the_meaning_of_the_standard():
    assert [history.meaning(code) for code in (0x0000, 0xA701, 0xA900, 0xB007, 0xB123, 0xC123, 0x0122)] == [
        "Success", "Refused: out of resources", "Data set does not match SOP class",
        "Warning: data set does not match SOP class", "Warning", "Cannot understand",
        "SOP class not supported",
    ]  # fmt: skip


def test_a_worker_that_hangs_or_dies_takes_down_nothing_else():
    async def asked_of_one():
        workers = Workers(1, 1, 2)
        try:
            with pytest.raises(WorkerEnded, match="more than 1 s"):
                await workers.run(time.sleep, 30)
            with pytest.raises(WorkerEnded):
                await workers.run(os._exit, 1)
            one = asyncio.create_task(workers.run(time.sleep, 0.5))
            two = asyncio.create_task(workers.run(os.getpid))
            await asyncio.sleep(0)
            with pytest.raises(Busy):
                await workers.run(os.getpid)
            await one
            assert await two == await workers.run(os.getpid) != os.getpid()
        finally:
            workers.close()

    asyncio.run(asked_of_one())
