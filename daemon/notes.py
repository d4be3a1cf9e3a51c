"""What heartbeats say beside the time: JSON objects, for the console and, in words, for ``check``."""

import json
from typing import Any


def parse(note: str) -> dict[str, Any]:
    """The figures of a heartbeat's note; none where it says nothing."""
    try:
        figures = json.loads(note or "{}")
    except json.JSONDecodeError:  # of an older release
        return {}
    return figures if isinstance(figures, dict) else {}


def in_words(note: str) -> str:
    """A note as an admin is told it in a line."""
    figures = parse(note)
    if "open" in figures:
        return f"{figures['open']} associations open, {figures['rejected']} rejected since its start"
    if "model" in figures:
        return f"{figures['model']}, {figures['memory_mib']} MiB"
    return ""
