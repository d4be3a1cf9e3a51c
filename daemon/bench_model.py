"""How many films a second the networks answer on this machine, by films in a call."""

import statistics
import time
from importlib.metadata import version as installed
from typing import Any

import numpy as np

from model.gpus import Share
from model.reader import PreparedFilm, Reader, ready

BATCH_SIZES = (1, 4, 16, 64)
LEAST_SECONDS, LEAST_PASSES = 5.0, 3
# A larger batch costs memory, and its first film waits for its last.
WORTH = 0.95


def measure(version_name: str, share: Share) -> dict[str, Any]:
    """Time what a reader does with films that are decoded and pass the gate, activation and decision with it.

    Parameters
    ----------
    version_name : str
        Name of a model version.
    share : Share

    Returns
    -------
    dict
        ``version``, ``lungs``, ``engine`` and ``device``; ``batches``, for each of `BATCH_SIZES` the films a
        second of the lung network, of the version's, and of both with what follows, and the milliseconds of
        processor time a film; ``batch_size``, the smallest with which nearly all is got.

    Raises
    ------
    WeightsInvalid, GpuMissing
    """
    reader = Reader(version_name, BATCH_SIZES[-1], share)
    grey = np.random.default_rng(1).integers(0, 256, (512, 512), np.uint8)
    film = ready(grey, reader.input_sizes, *grey.shape)
    batches = _timed(reader, film)
    best = max(batch["films_a_second"] for batch in batches)
    return {
        "version": f"{reader.model.name} {reader.model.version}",
        "lungs": reader.model.lungs,
        "engine": f"TensorFlow {installed('tensorflow')}",
        "device": reader.device,
        "batches": batches,
        "batch_size": next(
            batch["batch_size"] for batch in batches if batch["films_a_second"] >= WORTH * best
        ),
    }


def _timed(reader: Reader, film: PreparedFilm) -> list[dict[str, float]]:
    """Medians of passes over batches, which take turns, so that what else the machine does hits all alike."""
    batches = {size: [film] * size for size in BATCH_SIZES}
    passes = {size: [] for size in batches}
    for films in batches.values():  # the first one of a size does not count
        _pass(reader, films)
    began = time.monotonic()
    while len(passes[1]) < LEAST_PASSES or time.monotonic() - began < LEAST_SECONDS:
        for size, films in batches.items():
            passes[size].append(_pass(reader, films))
    return [_rates(size, of_size) for size, of_size in passes.items()]


def _rates(size: int, passes: list[tuple[float, ...]]) -> dict[str, float]:
    lungs, network, whole, processors = (statistics.median(step) for step in zip(*passes, strict=True))
    return {
        "batch_size": size,
        "lungs_films_a_second": size / lungs,
        "network_films_a_second": size / network,
        "films_a_second": size / whole,
        "processor_milliseconds_a_film": 1000 * processors / size,
    }


def _pass(reader: Reader, films: list[PreparedFilm]) -> tuple[float, float, float, float]:
    """Seconds of the lung network, of the version's and of all, and processor seconds."""
    spent, began = time.process_time(), time.perf_counter()
    lungs = reader.look(films)
    looked = time.perf_counter()
    answers = reader.answer(films, lungs)
    answered = time.perf_counter()
    reader.decide(films, lungs, answers)
    seconds = time.perf_counter() - began
    return looked - began, answered - looked, seconds, time.process_time() - spent
