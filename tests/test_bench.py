"""What `make bench` runs, at its smallest: it counts right and has figures for every part."""

import getpass
import json
import socket
from pathlib import Path

import foreign
import pytest
from bench import bars, cold_start, growth, job_table, machine, nodes, receiving, report, whole_path
from bench.films import Kind
from bench.whole_path import FIRSTREAD, HALF, PLUGIN, RECEIVING, SCRIPT, Work, latency_name, run_name

SMALL = ("small", "uncompressed")
# So many that none of the nodes takes less than the hundredth of a second in which the kernel counts.
WORK = Work({"small": 24}, 0, (whole_path.IDLE_FILMS_A_SECOND,), 4.0)


def leaves(found):
    """Figures of nested ones."""
    if isinstance(found, dict) and "values" in found:
        return [found]
    return [one for part in found.values() for one in leaves(part)] if isinstance(found, dict) else []


@pytest.mark.timeout(900)
def test_every_part_has_figures_and_every_film_its_results(monkeypatch):
    if why := nodes.why_no_plugin():
        foreign.missing(why)
    monkeypatch.setattr(receiving, "FILMS_A_RUN", {"small": 96})
    monkeypatch.setattr(receiving, "FILMS", {"small": receiving.FILMS["small"]})
    monkeypatch.setattr(receiving, "ASSOCIATIONS", (2,))
    parts = {
        "receiving": receiving.measure(1),
        # Fails if a film has not one SC and one SR at the PACS, of each node.
        "whole_path": whole_path.measure(1, WORK, (FIRSTREAD, SCRIPT, PLUGIN, RECEIVING), SMALL),
        "growth": growth.measure(1, (12, 24), 2, 6),
        "job_table": job_table.measure(1, (200, 400), ("sqlite",)),
        "cold_start": cold_start.measure(1),
    }
    for name, found in parts.items():
        assert leaves(found), name
        assert all(value > 0 for one in leaves(found) for value in one["values"]), name
    assert parts["whole_path"]["not run"] == {}
    for name in (FIRSTREAD, SCRIPT, PLUGIN):
        runs = parts["whole_path"]["nodes"][name]
        assert runs[run_name(*SMALL)]["films a second"]["median"] > 0
        assert runs[latency_name(1.0)]["films"]["median"] == 4
    assert HALF in parts["whole_path"]["nodes"][FIRSTREAD]
    json.dumps(parts)


def test_films_without_both_results_or_with_one_too_many_give_no_figures(tmp_path):
    pacs = nodes.Pacs(tmp_path)
    pacs.close()
    kind = Kind(*SMALL)
    one, other = kind.films(2)
    with pytest.raises(TimeoutError, match="2 results"):
        pacs.accepted([one], 0.1)
    for name in ("first", "second"):
        kind.ds.StudyInstanceUID = other.study_instance_uid
        kind.ds.save_as(tmp_path / name, enforce_file_format=True)
    with pytest.raises(ValueError, match="one SC and SR a film"):
        pacs.accepted([other], 30)


def test_bars_are_judged_and_what_was_not_run_is_told():
    judged = bars.judge({
        "growth": {"pace at 10000 / at 100": {"median": 0.97}},
        "cold_start": {"firstread tail": {"values": [0.7]}},
    })  # fmt: skip
    met = {bar["bar"]: bar["met"] for bar in judged}
    assert met["reading with 10,000 films waiting / with 100"] is True
    assert met["firstread tail"] is False
    assert met["whole path: Firstread / straightforward script"] is None
    shown = {"taken": "2026-11-28", "repetitions": 1, "machine": machine.describe(), "parts": {}}
    assert "| firstread tail | <= 0.5 s | 0.7 | no |" in report.markdown(shown | {"bars": judged})


def test_the_machines_description_names_nobody():
    told = json.dumps(machine.describe())
    assert "load average" in told
    for name in (socket.gethostname(), getpass.getuser(), "/home", "/tmp"):
        assert name not in told


def test_the_readmes_table_is_that_of_the_newest_result():
    repository = Path(__file__).parents[1]
    newest = max((repository / "tests/bench/results").glob("*.json"))
    result = json.loads(newest.read_text(encoding="utf-8"))
    assert report.markdown(result) in (repository / "README.md").read_text(encoding="utf-8")
