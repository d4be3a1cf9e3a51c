"""The pages Triage and Jobs in Chromium, the event stream, and the same as JSON."""

import csv
import io

import console_films
import pytest
import readings
import requests
from browser import SECONDS, WIDTHS, assert_accessible, keep
from node import Node
from playwright.sync_api import expect
from sqlalchemy import text
from visitor import Visitor

from daemon import service
from storage import database, events, films, heartbeats
from storage.states import DeliveryState, FilmState

expect.set_options(timeout=1000 * SECONDS)


@pytest.fixture
def node(tmp_path, monkeypatch):
    """A node where it is evening, its console running: of lists by day midnight takes the older films."""
    ahead = (18 - service.now().hour + 11) % 24 - 11
    monkeypatch.setenv("TZ", f"Etc/GMT{-ahead:+d}")  # POSIX: what is east of Greenwich is negative
    node = Node(tmp_path, {"main": 1, "research": 2})
    node.migrate()
    with node.running("console"):
        yield node
    node.engine.dispose()


@pytest.fixture
def evening(node):
    return console_films.fill(node.engine, service.now())


def url(node, path=""):
    return f"http://127.0.0.1:{node.console_port}{path}"


def rows(page):
    return page.locator("#list tr[data-job]")


def accessions(page):
    return rows(page).locator("b.mono")


@pytest.mark.usefixtures("evening")
def test_triage_shows_the_groups_in_order_and_is_accessible(node, page):
    page.goto(url(node, "/"))
    expect(page.locator("#live")).to_contain_text("Live")
    assert [text.split("  ")[0].strip() for text in page.locator("tr.group th b").all_text_contents()] == [
        "4", "4", "2", "17",
    ]  # fmt: skip
    first = accessions(page).all_text_contents()[:4]
    assert first == ["26110-4681", "26110-4682", "26110-4683", "26110-4708"]
    numbers = [text for text in page.locator(".points b").all_text_contents() if text]
    assert numbers[:3] == sorted(numbers[:3], key=int, reverse=True)
    assert "PID-" not in page.content()
    assert_accessible(page)
    for width in WIDTHS:
        keep(page, "triage", width)


@pytest.mark.usefixtures("evening")
def test_the_tooltip_tells_the_sum_and_escape_closes_it(node, page):
    page.goto(url(node, "/"))
    tip = page.locator(".tip").first
    tip.focus()
    told = page.locator(".tooltip").first
    expect(told).to_be_visible()
    expect(told).to_contain_text(
        "Sensitivity 0.61, specificity 0.86 on films of sources the model never learned from"
    )
    assert_accessible(page)
    keep(page, "triage-tooltip")
    page.keyboard.press("Escape")
    expect(told).to_be_hidden()


def test_an_empty_list_says_whether_films_can_arrive(node, page):
    page.goto(url(node, "/"))
    expect(page.locator(".empty")).to_contain_text("The receiver is not running")
    heartbeats.beat(node.engine, "receive", service.instance(), service.now())
    page.reload()
    expect(page.locator(".empty")).to_contain_text(f"Receiving on port {node.port} as FIRSTREAD")
    assert_accessible(page)
    keep(page, "triage-empty")


def test_a_reader_that_is_stale_is_told_on_the_page_and_the_list_is_called_out_of_date(node, page, evening):
    evening.beat(240)
    page.goto(url(node, "/"))
    expect(page.locator("#live")).to_contain_text("Reader stale, 4 min")
    expect(page.locator(".outdated")).to_be_visible()
    assert_accessible(page)
    keep(page, "triage-stale")


@pytest.mark.usefixtures("evening")
def test_a_console_that_is_gone_leaves_the_list_and_says_since_when(tmp_path_factory, page, node):
    other = Node(tmp_path_factory.mktemp("other"), database_url=node.url)
    with other.running("console"):
        page.goto(url(other, "/"))
        expect(page.locator("#live")).to_contain_text("Live, ")
        count = rows(page).count()
    other.engine.dispose()
    expect(page.locator("#live")).to_contain_text("Not live since ")
    expect(rows(page)).to_have_count(count)


@pytest.mark.alone  # seconds of a node and a browser, not of the tests beside them
def test_a_film_sent_by_c_store_stands_on_the_page_within_two_seconds_of_its_reading(tmp_path, page, film):
    node = Node(tmp_path)
    with node.running("receive", "read", "console"):
        page.goto(url(node, "/"))
        expect(page.locator(".empty")).to_be_visible()
        delays = []
        for number in (1, 2):
            node.store(film(AccessionNumber=f"LIVE{number}"))
            expect(page.locator(f"text=LIVE{number}").first).to_be_visible()
            seen = service.now()
            (row,) = (row for row in node.films() if row.accession_number == f"LIVE{number}")
            delays.append((seen - row.changed_at).total_seconds())
    node.engine.dispose()
    assert max(delays) < 2


def test_new_films_wait_for_a_hand_in_the_list_and_come_by_n(node, page, evening):
    page.goto(url(node, "/"))
    page.keyboard.press("j")
    page.keyboard.press("j")
    before = accessions(page).all_text_contents()
    focused = page.evaluate("document.activeElement.dataset.job")
    job = evening.read(readings.make_reading((0.0, 0.0, 1.0), (0.0, 1.0, 0.0)), 50)
    expect(page.locator("#new")).to_contain_text("1 new film")
    assert accessions(page).all_text_contents() == before
    assert_accessible(page)
    page.keyboard.press("n")
    expect(rows(page).first).to_have_attribute("data-job", str(job))
    assert page.evaluate("document.activeElement.dataset.job") == focused
    expect(page.locator("#new")).to_be_hidden()


def test_without_a_hand_a_new_film_goes_straight_to_its_place(node, page, evening):
    page.goto(url(node, "/"))
    expect(page.locator("#live")).to_contain_text("Live")
    job = evening.read(readings.make_reading((0.0, 0.0, 1.0), (0.0, 1.0, 0.0)), 50)
    expect(rows(page).first).to_have_attribute("data-job", str(job))


@pytest.mark.usefixtures("evening")
def test_keys_move_and_open_and_can_be_switched_off(node, page):
    page.goto(url(node, "/"))
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    job = rows(page).first.get_attribute("data-job")
    assert page.evaluate("document.activeElement.dataset.job") == job
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/film/{job}")
    page.go_back()
    page.locator("#keys-open").click()
    assert_accessible(page)
    keep(page, "keys")
    page.get_by_label("Letters and signs are keys").uncheck()
    page.get_by_role("button", name="Close").click()
    page.locator("body").click(position={"x": 2, "y": 300})
    page.keyboard.press("j")
    assert page.evaluate("document.activeElement.dataset.job ?? ''") == ""


@pytest.mark.usefixtures("evening")
def test_groups_and_senders_are_filtered_and_more_is_shown(node, page):
    page.goto(url(node, "/"))
    page.get_by_role("link", name="Show 7 more").click()
    expect(rows(page)).to_have_count(27)
    page.locator("#chips a", has_text="Look soon").click()
    expect(accessions(page)).to_have_text(["26110-4684", "26110-4686"])
    page.wait_for_load_state()  # before its scripts have run, the page hears of no choice
    page.locator("#sender").select_option("XR-ROOM-2")
    expect(rows(page)).to_have_count(1)
    expect(accessions(page)).to_have_text(["26110-4686"])


@pytest.mark.usefixtures("evening")
def test_one_hit_is_answered_in_a_sentence_and_copied_as_text(node, page):
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(url(node, "/jobs"))
    page.keyboard.press("/")
    page.keyboard.type("4683")
    page.keyboard.press("Enter")
    expect(page.locator(".sentence")).to_contain_text("The result is in main since ")
    expect(page.locator(".answer p.urgent")).to_contain_text(
        "The report did not reach research: status 0xA900"
    )
    assert_accessible(page)
    for width in WIDTHS:
        keep(page, "jobs-answer", width)
    page.locator("#copy").click()
    expect(page.locator("#copied")).to_have_text("Copied")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith("Accession 26110-4683, Firstread job 3\nThe result is in main since ")


@pytest.mark.usefixtures("evening")
def test_no_hit_says_where_to_look_and_escape_clears(node, page):
    page.goto(url(node, "/jobs?q=26110-4799"))
    expect(page.locator(".empty")).to_contain_text("No job is found for 26110-4799")
    assert_accessible(page)
    keep(page, "jobs-empty")
    page.keyboard.press("Escape")
    page.wait_for_url("**/jobs")
    expect(rows(page)).to_have_count(29)
    assert_accessible(page)
    for width in WIDTHS:
        keep(page, "jobs", width)


def test_jobs_are_paged_by_key_back_and_forth(node, page):
    evening = console_films.Evening(node.engine, service.now())
    for _ in range(60):
        evening.queue(1)
    page.goto(url(node, "/jobs?day=any&state=QUEUED"))
    with page.expect_navigation():  # until it is loaded, and its script listens to keys
        page.keyboard.press("]")
    expect(rows(page)).to_have_count(10)
    assert "state=QUEUED" in page.url
    expect(page.locator("#older")).to_have_attribute("aria-disabled", "true")
    page.keyboard.press("[")
    expect(rows(page)).to_have_count(50)
    expect(rows(page).first).to_have_attribute("data-job", "60")
    expect(page.locator("#newer")).to_have_attribute("aria-disabled", "true")


@pytest.mark.usefixtures("evening")
def test_chosen_jobs_are_requeued_by_a_dialog_with_a_reason(node, page):
    page.goto(url(node, "/jobs"))
    for accession in ("26110-4683", "26110-4691"):
        rows(page).filter(has_text=accession).get_by_role("checkbox").check()
    page.locator("#requeue-selected").click()
    expect(page.locator("#requeue-what")).to_contain_text("2 jobs (11, 3)")
    assert_accessible(page)
    keep(page, "jobs-requeue")
    page.locator("#reason").select_option("asked")
    page.locator("#requeue-do").click()
    expect(rows(page).filter(has_text="26110-4691")).to_contain_text("QUEUED")
    with database.reading(node.engine) as connection:
        assert films.get(connection, 11).state == FilmState.QUEUED
        last = events.of_film(connection, 3)[-1]
    assert (last.to_state, last.who, last.message) == (
        DeliveryState.PENDING, "local", "requeued: asked for by the department",
    )  # fmt: skip


@pytest.mark.usefixtures("evening")
def test_a_dialog_tells_what_was_not_requeued(node, page):
    page.goto(url(node, "/jobs?q=4691"))
    with node.engine.begin() as connection:
        connection.execute(text("UPDATE film SET files_removed_at = received_at WHERE id = 11"))
    page.locator("[data-requeue]").click()
    page.locator("#requeue-do").click()
    expect(page.locator("#requeue-fault")).to_contain_text(
        "job 11 is not requeued: its files were removed at"
    )


@pytest.mark.usefixtures("evening")
def test_csv_has_every_job_and_no_formula(node):
    with node.engine.begin() as connection:
        connection.execute(text("UPDATE film SET calling_ae_title = '=1+1' WHERE id = 1"))
    answer = requests.get(url(node, "/jobs.csv?day=any"), timeout=SECONDS)
    table = list(csv.DictReader(io.StringIO(answer.text)))
    assert [int(row["job"]) for row in table] == list(range(29, 0, -1))
    assert table[-1]["sender"] == "'=1+1"
    assert (
        table[-3]["deliveries"] == "SC main SENT; SR main SENT; SC research SENT; SR research FAILED 0xA900"
    )


@pytest.mark.usefixtures("evening")
def test_api_pages_jobs_and_tells_one(node):
    found = requests.get(url(node, "/api/jobs?day=any&sender=XR-ROOM-2"), timeout=SECONDS).json()
    assert {job["sender"] for job in found["jobs"]} == {"XR-ROOM-2"}
    assert found["older_than"] is None
    one = requests.get(url(node, "/api/jobs/3"), timeout=SECONDS).json()
    assert one["said"] == "COVID-19 84"
    assert one["answer"].startswith("The result is in main since ")
    assert [move["to_state"] for move in one["history"]][:3] == ["QUEUED", "READING", "READ"]
    assert requests.get(url(node, "/api/jobs/4711"), timeout=SECONDS).status_code == 404
    triage = requests.get(url(node, "/api/triage"), timeout=SECONDS).json()
    assert [film["accession_number"] for film in triage[:2]] == ["26110-4681", "26110-4682"]
    assert triage[0]["priority"] > triage[1]["priority"]


@pytest.mark.usefixtures("evening")
def test_api_requeues_what_may_be(node):
    asked, visitor = {"reason": "asked"}, Visitor(node)
    token = {"X-CSRF-Token": visitor.token("/")}
    for job, body, status in (
        (3, asked, 200), (1, asked, 200), (29, asked, 409), (4711, asked, 404),
        (3, {"reason": "Smith^John"}, 422), (2**63, asked, 422),
    ):  # fmt: skip
        answer = visitor.post(f"/api/jobs/{job}/requeue", json=body, headers=token)
        assert answer.status_code == status, (job, body, answer.text)


@pytest.mark.usefixtures("evening")
def test_odd_questions_get_an_answer(node):
    for query, status in (
        ("q=%00", 422), ("day=0001-01-01", 422), ("day=x", 422), ("older_than=0", 422), ("state=LOST", 422),
        ("q=47", 200), ("q=%23" + "9" * 18, 200), ("q=" + "9" * 64, 200),
        ("day=2026-02-01&sender=%F0%9F%98%80", 200),
    ):  # fmt: skip
        for path in ("/jobs", "/api/jobs", "/jobs.csv"):
            answer = requests.get(url(node, f"{path}?{query}"), timeout=SECONDS)
            assert answer.status_code == status, (path, query)


def test_the_stream_tells_moves_and_pulses_to_every_page_once(node):
    evening = console_films.Evening(node.engine, service.now())
    with requests.Session() as one, requests.Session() as two:
        streams = [
            session.get(url(node, "/live"), stream=True, timeout=SECONDS).iter_lines(decode_unicode=True)
            for session in (one, two)
        ]
        for stream in streams:
            assert next(line for line in stream if line.startswith("event:")) == "event: pulse"
        job = evening.queue(0)
        for stream in streams:
            told = [line for line in lines_until_pulses(stream, 3) if '"job"' in line]
            assert told == [f'data: {{"job": {job}, "what": "film", "state": "QUEUED"}}']


def lines_until_pulses(stream, count):
    for line in stream:
        yield line
        count -= line == "event: pulse"
        if count == 0:
            return


def test_an_open_page_does_not_hold_up_the_consoles_end(tmp_path):
    node = Node(tmp_path)
    with node.running("console"):
        stream = requests.get(url(node, "/live"), stream=True, timeout=SECONDS)
    list(stream.iter_lines())
    node.engine.dispose()
    assert "Shutting down" in node.log_text()
    assert "timeout" not in node.log_text()
