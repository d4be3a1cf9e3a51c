"""The parts of a run on one machine: its worker processes, and one network for all."""

from daemon.archive import rows, run
from daemon.archive.run import Plan, Run
from daemon.archive.scorer import Scorer, Told


def score(of: Run, plan: Plan, workers: int, tell: Told) -> None:
    """Read what is left of a run.

    Parameters
    ----------
    of : Run
    plan : Plan
    workers : int
        Processes that decode.
    tell : callable
        Is given numbers of films by state.

    Raises
    ------
    daemon.archive.places.PlaceAway
    model.weights.WeightsInvalid
    """
    scorer = Scorer(of.settings, workers)
    schema = rows.schema(scorer.model.cascade, of.settings.texture)
    try:
        for number, made in scorer.score(of.source, (run.part(of, one) for one in plan.left), tell):
            run.keep(of, number, rows.as_parquet(made, schema))
    finally:
        scorer.close()
