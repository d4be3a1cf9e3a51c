"""What Prometheus is told, by processes that come and go, and what reads it: rules and dashboard."""

import json
import re
import subprocess
import sys
from pathlib import Path

import foreign
import month
import requests
import servers
from node import Node

from daemon import metrics, service
from daemon.console import scrape

ETC = Path(__file__).parents[1] / "etc"
RULES, DASHBOARD = ETC / "prometheus-rules.yml", ETC / "grafana-firstread.json"
COUNT = """
import sys
from pathlib import Path
from daemon import metrics
metrics.start(Path(sys.argv[1]), "read")
for _ in range(int(sys.argv[2])):
    metrics.took("decode", 0.2)
    metrics.film_moved("READ")
print("counted", flush=True)
sys.stdin.read()
"""


def counting(folder: Path, films: int) -> subprocess.Popen[str]:
    """A process that has counted so many films and goes on living."""
    process = subprocess.Popen(
        [sys.executable, "-c", COUNT, str(folder), str(films)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout.readline() == "counted\n"
    return process


def told(folder: Path) -> dict[str, float]:
    text = metrics.text(folder, lambda _registry: None)[0].decode()
    lines = (line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, value in lines}


READ = 'firstread_films_total{reason="",state="READ"}'


def test_a_process_that_dies_takes_no_count_with_it_and_leaves_no_file_of_its_own(tmp_path):
    for films in (3, 4):
        process = counting(tmp_path, films)
        process.kill()
        process.communicate()
    assert told(tmp_path)[READ] == 7
    assert sorted(path.name for path in tmp_path.glob("*.db")) == ["counter_read-0.db", "histogram_read-0.db"]


def test_two_processes_of_a_role_count_side_by_side(tmp_path):
    both = [counting(tmp_path, films) for films in (2, 5)]
    for process in both:
        process.communicate("")
    assert told(tmp_path)[READ] == 7
    assert told(tmp_path)['firstread_decode_seconds_bucket{le="0.25"}'] == 7
    assert len(list(tmp_path.glob("*.db"))) == 4


def test_a_file_that_a_crash_broke_is_begun_anew(tmp_path):
    (tmp_path / "counter_read-0.db").write_bytes(b"\xff\x00\x00\x00" + b"\x7f" * 300)
    process = counting(tmp_path, 2)
    process.communicate("")
    assert told(tmp_path)[READ] == 2


def test_without_room_for_its_files_a_process_counts_for_itself(tmp_path, caplog):
    (tmp_path / "file").write_bytes(b"")
    metrics.start(tmp_path / "file", "read")
    assert "no metrics of this process" in caplog.text


def names_told() -> set[str]:
    histograms = {
        f"firstread_{step}_seconds_{end}" for step in metrics.STEPS for end in ("bucket", "sum", "count")
    }
    counters = {f"firstread_{name}_total" for name in ("films", "deliveries", "refused_data_sets")}
    return histograms | counters | set(scrape.GAUGES)


def test_rules_and_dashboard_name_what_is_told_and_all_of_it_is_shown():
    for path in (RULES, DASHBOARD):
        named = set(re.findall(r"\bfirstread_\w+", path.read_text(encoding="utf-8")))
        assert named
        assert named <= names_told(), path.name
    shown = set(re.findall(r"\bfirstread_\w+", DASHBOARD.read_text(encoding="utf-8")))
    assert set(scrape.GAUGES) <= shown
    panels = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels) > 12


def test_prometheus_finds_no_fault_in_the_rules():
    judge = foreign.require("promtool", "prometheus")
    done = subprocess.run([judge, "check", "rules", RULES], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "10 rules found" in done.stdout


def test_every_gauge_is_told_of_a_node_with_films(tmp_path):
    node = Node(tmp_path, {"pacs": servers.free_port()})
    node.migrate()
    now = service.now()
    month.fill(node.engine, now, 60)
    month.beat(node.engine, now)
    month.take_down(node.engine, "pacs", now)
    with node.running("console"):
        text = requests.get(f"http://127.0.0.1:{node.console_port}/metrics", timeout=60).text
    node.engine.dispose()
    values = set(re.findall(r"(?m)^(firstread_\w+)", text))
    assert values == set(scrape.GAUGES)
    assert 'firstread_destination_up{destination="pacs"} 0.0' in text
    host = month.INSTANCE.partition(":")[0]
    assert f'firstread_heartbeat_age_seconds{{host="{host}",process="read"}}' in text
