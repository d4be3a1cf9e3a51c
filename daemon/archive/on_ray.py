"""The parts of a run on a cluster: Ray Data gives them to readers, which do what one machine does.

Every node needs this release with the extra ``ray``, and the places of the films and of the scores.
"""

import logging
from collections import Counter
from collections.abc import Mapping

import numpy as np
import ray
from ray.data import ActorPoolStrategy, DataContext

from daemon import service
from daemon.archive import rows, run
from daemon.archive.run import Plan, Run, RunRefused
from daemon.archive.scorer import Scorer, Told

# More processors than these one network does not keep at work; see etc/archive.md.
MOST_WORKERS = 16
# Blocks beyond these cost the driver more than they spread the work better.
MOST_BLOCKS = 10_000


class PartReader:
    """An actor: a network and its worker processes on some node of the cluster."""

    def __init__(self, of: Run, speaker: Mapping[str, str], workers: int) -> None:
        service.configure_logging("archive")
        if (ours := run.speaker(of.settings)) != speaker:
            raise RunRefused(f"found {ours} on a node, expected {speaker} as where the run was begun")
        self._run = of
        self._scorer = Scorer(of.settings, workers)

    def __call__(self, batch: Mapping[str, np.ndarray]) -> dict[str, list]:
        """Read parts and keep their scores.

        Parameters
        ----------
        batch : mapping
            ``part``, (n,) integer: their numbers.

        Returns
        -------
        dict
            ``states``, n mappings of a state to a number of films.
        """
        states, schema = [], rows.schema(self._scorer.model.cascade, self._run.settings.texture)
        for number in batch["part"]:
            counted: Counter[str] = Counter()
            part = run.part(self._run, int(number))
            for _, made in self._scorer.score(self._run.source, [part], counted.update):
                run.keep(self._run, part.number, rows.as_parquet(made, schema))
            states.append(dict(counted))
        return {"states": states}


def score(of: Run, plan: Plan, address: str, tell: Told) -> None:
    """Read what is left of a run; the arguments are those of `daemon.archive.local.score`.

    Parameters
    ----------
    address : str
        Of the cluster: ``auto``, ``ray://host:10001``, or ``local`` for one on this machine.

    Raises
    ------
    ConnectionError
        If there is no such cluster.
    """
    logging.getLogger("ray").setLevel(logging.ERROR)
    ray.init(address=address, logging_level=logging.ERROR, log_to_driver=False)
    try:
        context = DataContext.get_current()
        context.enable_progress_bars = False
        parts = [{"part": number} for number in plan.left]
        share = _share_of_a_node()
        done = ray.data.from_items(parts, override_num_blocks=min(len(parts), MOST_BLOCKS)).map_batches(
            PartReader,
            fn_constructor_args=(of, run.speaker(of.settings), int(share["num_cpus"])),
            batch_size=1,
            compute=ActorPoolStrategy(min_size=1),
            **share,
        )
        for row in done.iter_rows():
            tell(Counter({state: films for state, films in row["states"].items() if films}))
    finally:
        ray.shutdown()


def _share_of_a_node() -> dict[str, int]:
    """What a reader takes of its node: a GPU and its share of the processors, or `MOST_WORKERS` at most."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU")]
    with_gpu = [node for node in nodes if node.get("GPU")]
    if with_gpu:
        share = min(node["CPU"] / node["GPU"] for node in with_gpu)
        return {"num_gpus": 1, "num_cpus": max(1, min(int(share), MOST_WORKERS))}
    return {"num_cpus": max(1, min(int(min(node["CPU"] for node in nodes)), MOST_WORKERS))}
