"""What firstread draws on a terminal: tail and top. test_cli.py has what a pipe gets."""

import re

import pytest
import terminals
from test_cli import NOW, enqueue, jobs  # noqa: F401 - a fixture

from storage import destinations, heartbeats

COLOUR = re.compile(r"\x1b\[[0-9;]*m")
RED_FAILED, GREEN_READ = "\x1b[1;31mFAILED", "\x1b[32mREAD"


def shown(text: str) -> list[str]:
    """Lines without colours."""
    return [line.rstrip() for line in COLOUR.sub("", text).splitlines()]


def test_tail_on_a_terminal_has_columns_and_colours(jobs):  # noqa: F811
    with terminals.running(jobs.command("tail")) as terminal:
        text = terminal.read_until("")
        assert terminal.process.wait(20) == 0
    assert RED_FAILED in text and GREEN_READ in text
    lines = shown(text)
    at = NOW.astimezone().strftime("%m-%d %H:%M:%S")
    assert len(lines) == 16
    assert all(line.startswith(at) for line in lines)
    assert lines[0].split()[2:] == ["1", "A1", "film", "→", "QUEUED"]
    assert lines[-1].split()[2:] == ["1", "A1", "SR", "to", "pacs", "SENDING", "→", "FAILED"]
    assert len({line.index(" A") for line in lines}) == 1


@pytest.mark.parametrize("environment", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_tail_without_colour_where_none_is_wanted(environment, jobs):  # noqa: F811
    with terminals.running(jobs.command("tail"), **environment) as terminal:
        text = terminal.read_until("")
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]", text)
    assert "FAILED" in text


def test_a_long_message_goes_on_in_its_own_column_on_a_narrow_terminal(jobs):  # noqa: F811
    with terminals.running(jobs.command("tail", "--state", "SKIPPED"), columns=80) as terminal:
        lines = shown(terminal.read_until(""))
    assert len(lines) > 1
    assert all(len(line) <= 80 for line in lines)
    (column,) = {len(line) - len(line.lstrip()) for line in lines[1:]}
    assert lines[0][column:].startswith("OUT_OF")
    assert "".join(line[column:] for line in lines).replace(" ", "") == "OUT_OF_SCOPE:foundLATERAL"


def test_tail_that_follows_on_a_terminal_tells_events_and_destinations(jobs):  # noqa: F811
    with terminals.running(jobs.command("tail", "-f", "--state", "QUEUED")) as terminal:
        terminal.read_until("A4")
        enqueue(jobs, 5)
        terminal.read_until("A5")
        destinations.went_down(jobs.engine, "pacs", "send@host:2", NOW, "no [bold] association")
        assert "no [bold] association" in terminal.read_until("destination pacs takes nothing since")
        terminal.type(b"\x03")
        assert terminal.process.wait(20) == 130


def test_top_prints_one_frame_for_a_pipe(jobs):  # noqa: F811
    destinations.went_down(jobs.engine, "pacs", "send@host:2", NOW, "no association")
    heartbeats.beat(jobs.engine, "read", "xr1.0a1b2c3d:4711:1", NOW, "busy")
    done = jobs.firstread("top", "--once")
    assert (done.returncode, done.stderr) == (0, "")
    lines = shown(done.stdout)
    assert done.stdout == COLOUR.sub("", done.stdout)
    assert lines[0].startswith("FIRSTREAD at ") and lines[0].endswith(", read by firstread-1")
    films = lines.index(next(line for line in lines if line.startswith("films ")))
    assert lines[films].split()[1:] == ["QUEUED", "READING", "READ", "SKIPPED", "FAILED"]
    assert lines[films + 1].split()[-5] == "1"  # of all times; NOW may be more than a day ago
    assert lines[films + 2] == "a minute: 0 received, 0 read, 0 results sent"
    (pacs,) = [line for line in lines if line.startswith("pacs ")]
    assert pacs.split()[:6] == ["pacs", "DOWN", "0", "0", "1", "takes"] and pacs.endswith("no association")
    assert [line.split()[0] for line in lines if " MODALITY " in line] == ["4", "3", "2", "1"]
    assert any(re.match(r"read@xr1\.0a1b2c3d:4711 +\d+ s ago +busy", line) for line in lines)


def test_top_counts_what_happened_in_the_last_minute(node, film, chest):
    with node.running("run"):
        node.store(*[film(pixels=chest[::3, ::3] + number) for number in range(3)])
        node.wait_for_ends(3)
        said = node.firstread("top", "--once").stdout
    assert "a minute: 3 received, 3 read, 6 results sent" in said
    assert "UP" in next(line for line in said.splitlines() if line.startswith("pacs "))


def test_top_draws_anew_until_q_is_typed(jobs):  # noqa: F811
    with terminals.running(jobs.command("top")) as terminal:
        terminal.read_until("A4")
        enqueue(jobs, 5)
        text = terminal.read_until("A5")
        assert RED_FAILED in text
        terminal.type(b"q")
        terminal.read_until("\x1b[?1049l")  # the screen from before is back
        assert terminal.process.wait(20) == 0


def test_top_ends_by_ctrl_c_and_gives_the_screen_back(jobs):  # noqa: F811
    with terminals.running(jobs.command("top")) as terminal:
        terminal.read_until("A4")
        terminal.type(b"\x03")
        assert "Traceback" not in terminal.read_until("\x1b[?1049l")
        assert terminal.process.wait(20) == 130
