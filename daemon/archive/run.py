"""A run over an archive: what belongs to it, which part has which films, which parts are done.

Its folder or prefix has ``run.json``, the settings; ``films/N.json.gz``, the names of part N; ``listed.json``
once all films are listed; and ``scores/N.parquet``. Each comes whole or not at all, so that a run is gone on
with after any end.
"""

import contextlib
import dataclasses
import fcntl
import gzip
import hashlib
import importlib.metadata
import itertools
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from daemon.archive import places
from daemon.archive.scorer import Part, Settings
from model import lungs, weights

SCORES = "scores"
FILMS = "films"


class RunRefused(ValueError):
    """A run that cannot be begun or gone on with. Says what was found and what was expected."""


@dataclasses.dataclass(frozen=True)
class Run:
    """What is read, how, and where the scores go.

    Parameters
    ----------
    source, out : str
        Places: an absolute path, or a URL.
    listed_in : Path or None
        A file with a film's name in each line; None for all that `source` holds.
    films_a_part : int
    settings : Settings
    """

    source: str
    out: str
    listed_in: Path | None
    films_a_part: int
    settings: Settings


@dataclasses.dataclass(frozen=True)
class Plan:
    """The parts of a run whose films are all listed.

    Parameters
    ----------
    films, parts : int
        How many there are.
    left : sequence of int
        Numbers of the parts that have no scores yet.
    """

    films: int
    parts: int
    left: Sequence[int]


def name_of(where: str) -> str:
    """A place as `Run` has it, from what somebody types."""
    return where.rstrip("/") if "://" in where else str(Path(where).resolve())


@contextlib.contextmanager
def alone(run: Run) -> Iterator[None]:
    """Keep a second run from the same folder; runs to an object store are not kept from each other.

    Raises
    ------
    RunRefused
        If one works there.
    """
    if "://" in run.out:
        yield
        return
    folder = Path(run.out)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RunRefused(f"found another run at work on {run.out}, expected none") from None
        for left_over in (folder / SCORES).glob(".*.parquet.*"):
            left_over.unlink()
        yield


def begin(run: Run) -> None:
    """Note the settings of a new run, or hold those of one that is gone on with against them.

    Raises
    ------
    RunRefused
        If its scores would not go with those that are there.
    model.weights.WeightsInvalid
    daemon.archive.places.PlaceAway
    """
    if (run.out + "/").startswith(run.source + "/"):
        raise RunRefused(f"found the scores' place {run.out} among the films, expected it elsewhere")
    ours, out = _described(run), places.place(run.out)
    try:
        theirs = json.loads(out.read("run.json"))
    except FileNotFoundError:
        if any(out.kept(SCORES)):
            raise RunRefused(f"found scores in {run.out} without run.json, expected a new folder") from None
        out.write("run.json", json.dumps(ours, indent=2).encode())
        return
    differ = [key for key in sorted({*ours, *theirs}) if ours.get(key) != theirs.get(key)]
    if differ:
        told = "\n".join(f"  {key}: {_short(theirs, key)}, now {_short(ours, key)}" for key in differ)
        raise RunRefused(
            f"{run.out} holds a run with other settings, and its scores do not go with these:\n{told}\n"
            "go on with those it was begun with, or give another --out"
        )


def _short(settings: Mapping[str, object], key: str) -> str:
    return json.dumps(settings.get(key))[:200]


def speaker(settings: Settings) -> dict[str, str]:
    """Which release and which weights would read on this machine.

    Raises
    ------
    model.weights.WeightsInvalid
    """
    version = weights.open_version(settings.version)
    finder = weights.open_version(lungs.FINDERS / lungs.LATEST)
    return {
        "release": importlib.metadata.version("firstread"),
        "model": version.recipe["name"],
        "model_version": version.recipe["version"],
        "weights_sha256": weights.spoken_by(version, finder),
    }


def _described(run: Run) -> dict[str, object]:
    """What all scores of a run have in common, as JSON has it."""
    described = {
        "source": run.source,
        "list_sha256": run.listed_in and _digest(run.listed_in),
        "films_a_part": run.films_a_part,
        **speaker(run.settings),
        "most_bytes": run.settings.most_bytes,
        "texture": run.settings.texture,
        "scope": dataclasses.asdict(run.settings.rules),
    }
    return json.loads(json.dumps(described))


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def plan(run: Run, tell: Callable[[int], None]) -> Plan:
    """List the films into parts, from where an earlier listing stopped.

    Parameters
    ----------
    run : Run
    tell : callable
        Is given how many films are listed by now.

    Raises
    ------
    RunRefused
        If there are none.
    daemon.archive.places.PlaceAway
        If they cannot be listed.
    """
    out = places.place(run.out)
    try:
        listed = json.loads(out.read("listed.json"))
    except FileNotFoundError:
        listed = _list(run, out, tell)
        out.write("listed.json", json.dumps(listed).encode())
    if not listed["films"]:
        raise RunRefused(f"found no film in {run.listed_in or run.source}, expected one or more")
    done = _numbers(out, SCORES)
    left = [number for number in range(listed["parts"]) if number not in done]
    return Plan(listed["films"], listed["parts"], left)


def _list(run: Run, out: "places.Folder | places.Bucket", tell: Callable[[int], None]) -> dict[str, int]:
    parts = len(_numbers(out, FILMS))
    films = parts * run.films_a_part
    last = part(run, parts - 1).films if parts else []
    if len(last) < run.films_a_part and parts:  # the last part, and only that, may have fewer films
        return {"films": films - run.films_a_part + len(last), "parts": parts}
    names = _listed(run, films) if run.listed_in else places.place(run.source).names(last[-1] if last else "")
    while taken := list(itertools.islice(names, run.films_a_part)):
        # Sorted, and one compressor without the time of day: the same part is the same bytes.
        out.write(_films_of(parts), gzip.compress(json.dumps(taken).encode(), mtime=0))
        parts, films = parts + 1, films + len(taken)
        tell(films)
    return {"films": films, "parts": parts}


def _listed(run: Run, begin_at: int) -> Iterator[str]:
    """Names in the list's lines, relative to the source where they begin with it."""
    with run.listed_in.open(encoding="utf-8", errors="surrogateescape") as lines:
        names = (line.rstrip("\r\n").removeprefix(f"{run.source}/") for line in lines)
        yield from itertools.islice(filter(None, names), begin_at, None)


def _numbers(out: "places.Folder | places.Bucket", folder: str) -> set[int]:
    matches = (re.match(r"(\d{8})\.", name) for name in out.kept(folder))
    return {int(match[1]) for match in matches if match}


def _films_of(number: int) -> str:
    return f"{FILMS}/{number:08}.json.gz"


def part(run: Run, number: int) -> Part:
    """A part, by its number."""
    return Part(number, json.loads(gzip.decompress(places.place(run.out).read(_films_of(number)))))


def keep(run: Run, number: int, scores: bytes) -> None:
    """Write the scores of a part, which is done by this."""
    places.place(run.out).write(f"{SCORES}/{number:08}.parquet", scores)


def default_workers() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0))
