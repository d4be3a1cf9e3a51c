"""daemon/console as a process."""

import browser
import pytest
import requests
from node import Node


def test_the_console_answers_on_loopback_with_its_own_files_only(tmp_path):
    node = Node(tmp_path)
    with node.running("console"):
        found = requests.get(f"http://127.0.0.1:{node.console_port}/static/base.css", timeout=10)
        outside = requests.get(f"http://127.0.0.1:{node.console_port}/static/%2e%2e/app.py", timeout=10)
    node.engine.dispose()
    assert (found.status_code, found.headers["content-type"]) == (200, "text/css; charset=utf-8")
    assert outside.status_code == 404


def test_accessibility_is_judged():
    if not browser.AXE.exists():
        pytest.skip(
            "no axe-core (make build/axe/axe.min.js; it needs npm): pages are not judged for accessibility"
        )
    assert "axe.run" in browser.AXE.read_text(encoding="utf-8")
