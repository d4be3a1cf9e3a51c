"""The command ``firstread``. Each verb imports what it needs, so that ``tail`` starts at once."""

import argparse
import json
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storage.states import DeliveryState, FilmState

if TYPE_CHECKING:
    from daemon.config import Config
    from storage.database import Engine

TAIL_LINES = 20
FOLLOW_LINES = 1000
TAIL_SECONDS = 0.5


def main(arguments: list[str] | None = None) -> int:
    """Run a verb; the exit status: 0 done, 1 a problem was found, 2 wrong usage."""
    parser = _parser()
    options = parser.parse_args(arguments)
    from daemon.config_file import BadConfig
    from model.weights import WeightsInvalid
    from storage.database import NewerSchema, SchemaMissing, SQLAlchemyError
    from storage.films import NoSuchJob

    try:
        return options.run(options)
    except BrokenPipeError:
        # Who reads our answers, such as head, has enough of them.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except SQLAlchemyError as error:
        # Its text goes on with the statement and its values.
        problem = f"database: {str(getattr(error, 'orig', None) or error).strip().splitlines()[0]}"
    except (BadConfig, NewerSchema, SchemaMissing, NoSuchJob, WeightsInvalid, OSError) as error:
        problem = str(error)
    except ModuleNotFoundError as error:
        problem = f"package {error.name} is not installed; train and evaluate need those of firstread[train]"
    except KeyboardInterrupt:
        return 130
    for line in problem.splitlines():
        print(f"firstread: {line}", file=sys.stderr)
    return 1


def _parser() -> argparse.ArgumentParser:
    from daemon.config_file import DEFAULT_PATH

    parser = argparse.ArgumentParser(
        prog="firstread",
        description="Reads every chest film that arrives and answers into the PACS. Research use only.",
    )
    parser.add_argument("--config", type=Path, default=DEFAULT_PATH, help="config file (%(default)s)")
    verbs = parser.add_subparsers(required=True, metavar="VERB")

    def verb(name: str, run: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        added = verbs.add_parser(name, help=text, description=text)
        added.set_defaults(run=run)
        return added

    verb("run", _run, "receive, read and send on one machine, under one supervisor")
    verb("receive", _receive, "take films from modalities")
    for name, function, text in (
        ("read", _read, "read queued films"),
        ("send", _send, "deliver results"),
    ):
        verb(name, function, text).add_argument("--once", action="store_true", help="drain the queue and end")
    verb("check", _check, "config, packages, database, weights, destinations; one line each")
    tail = verb("tail", _tail, "job events, newest last")
    tail.add_argument("-f", "--follow", action="store_true", help="go on with new ones")
    tail.add_argument("--json", action="store_true", help="one JSON object a line")
    states = sorted({*FilmState, *DeliveryState})
    tail.add_argument("--state", choices=states, help="only moves to this state")
    show = verb("show", _show, "one film's history and its deliveries")
    show.add_argument("job", type=int)
    requeue = verb("requeue", _requeue, "put failed or skipped films, or failed deliveries, back")
    requeue.add_argument("jobs", type=int, nargs="+", metavar="JOB")
    classify = verb("classify", _classify, "read films without network or database")
    classify.add_argument("files", type=Path, nargs="+", metavar="FILE")
    classify.add_argument("--out", type=Path, required=True, metavar="DIR", help="where the results go")
    train = verb("train", _train, "make the weights of a model version")
    train.add_argument("version", type=Path, metavar="DIR", help="folder with model.toml, the recipe")
    train.add_argument("--out", type=Path, required=True, metavar="DIR", help="checkpoints and weights")
    evaluate = verb("evaluate", _evaluate, "judge a model version on labelled films")
    judged = evaluate.add_mutually_exclusive_group(required=True)
    judged.add_argument("--model", metavar="NAME", help="name of a model version")
    judged.add_argument("--lungs", action="store_true", help="judge the network that finds the lungs instead")
    evaluate.add_argument("--folds", type=int, nargs="+", metavar="N", help="only these folds (all)")
    evaluate.add_argument("--sources", nargs="+", metavar="NAME", help="only these, also NAME,NAME (all)")
    answer = evaluate.add_mutually_exclusive_group()
    answer.add_argument("--json", action="store_true", help="every figure, as one JSON object")
    answer.add_argument(
        "--card", action="store_true", help="write the version's card, from its own test films"
    )
    for learning in (train, evaluate):
        learning.add_argument(
            "--manifest", type=Path, required=True, metavar="CSV", help="the labelled films"
        )
        learning.add_argument("--root", type=Path, required=True, metavar="DIR", help="where their files lie")
    return parser


def _config(options: argparse.Namespace) -> "Config":
    from daemon import config

    return config.load(options.config)


def _database(options: argparse.Namespace) -> "Engine":
    """The job database, for verbs that only look or that move a row."""
    from daemon import config_file, service

    return service.look_into_database(config_file.load_storage(options.config))


def _run(options: argparse.Namespace) -> int:
    from daemon import service, supervise
    from model import weights

    service.configure_logging()
    config = _config(options)
    # What no restart would heal is told before the first process starts.
    weights.open_version(config.model.version)
    service.open_storage(config.storage)[0].dispose()
    supervise.run(options.config)
    return 0


def _receive(options: argparse.Namespace) -> int:
    from daemon import receive, service

    service.configure_logging()
    stop = service.stop_on_signals()
    config = _config(options)
    engine, spool = service.open_storage(config.storage)
    server = receive.start(config, engine, spool)
    service.announce_ready("receive")
    pulse = service.Pulse(engine, "receive")
    while not stop.wait(1.0):
        pulse.beat()
    server.shutdown()
    return 0


def _read(options: argparse.Namespace) -> int:
    from daemon import housekeeping, read, service
    from model.reader import Reader

    service.configure_logging()
    stop = service.stop_on_signals()
    config = _config(options)
    engine, spool = service.open_storage(config.storage)
    reader = Reader(config.model.version, config.model.batch_size)
    loop = read.ReadLoop(config, engine, spool, reader, service.Pulse(engine, "read").beat)
    chores = housekeeping.start(engine, spool, config.model.attempts)
    service.announce_ready("read")
    try:
        loop.run(stop, options.once)
    finally:
        chores.shutdown()
    return 0


def _send(options: argparse.Namespace) -> int:
    from daemon import housekeeping, send, service

    service.configure_logging()
    stop = service.stop_on_signals()
    config = _config(options)
    engine, spool = service.open_storage(config.storage)
    pulse = service.Pulse(engine, "send")
    loops = [send.SendLoop(config.node.ae_title, one, engine, spool) for one in config.destination]
    threads = [
        threading.Thread(target=loop.run, args=(stop, options.once, pulse.beat), daemon=True)
        for loop in loops
    ]
    chores = housekeeping.start(engine, spool, config.model.attempts)
    service.announce_ready("send")
    for thread in threads:
        thread.start()
    if not options.once:
        while not stop.wait(1.0):
            # A sender may wait for its peer longer than a watchdog should; its own timeouts bound that wait.
            pulse.beat()
            if not all(thread.is_alive() for thread in threads):
                raise RuntimeError("a sender thread ended")
    for thread in threads:
        thread.join()
    chores.shutdown()
    return 0


def _check(options: argparse.Namespace) -> int:
    from daemon import check, service

    service.configure_logging()
    config = _config(options)
    print(f"ok      config: {options.config}")
    well = True
    for name, is_well, found in check.run(config):
        well = well and is_well
        print(f"{'ok' if is_well else 'PROBLEM':8}{name}: {found}")
    return 0 if well else 1


def _tail(options: argparse.Namespace) -> int:
    from storage import database, events

    engine = _database(options)
    after, limit = 0, TAIL_LINES
    with database.reading(engine) as connection:
        while True:
            for row in events.newest(connection, after, limit, options.state):
                print(_event_json(row) if options.json else _event_line(row), flush=True)
                after = max(after, row.id)
            if not options.follow:
                return 0
            limit = FOLLOW_LINES
            time.sleep(TAIL_SECONDS)


def _show(options: argparse.Namespace) -> int:
    from storage import database, deliveries, events, films

    with database.reading(_database(options)) as connection:
        film = films.get(connection, options.job)
        for key, value in film._mapping.items():
            if value not in (None, ""):
                print(f"{key:20} {json.dumps(value) if isinstance(value, dict) else value}")
        print("\nhistory")
        for row in events.of_film(connection, options.job):
            print("  " + _event_line(row))
        print("\ndeliveries")
        for row in deliveries.of_film(connection, options.job):
            status = "" if row.peer_status is None else f" 0x{row.peer_status:04X}"
            print(
                f"  {row.kind} to {row.destination}: {row.state}{status}, attempt {row.attempts} {row.reason}"
            )
            print(f"     {row.sop_instance_uid}")
    return 0


def _requeue(options: argparse.Namespace) -> int:
    from daemon import service
    from storage import deliveries, films
    from storage.states import IllegalMove

    engine = _database(options)
    status = 0
    for job in options.jobs:
        moved = deliveries.requeue_failed(engine, job, "requeue", service.now())
        if moved:
            print(f"job {job}: {moved} deliveries queued again")
            continue
        try:
            films.requeue(engine, job, "requeue", service.now())
            print(f"job {job}: queued again")
        except (IllegalMove, films.NoSuchJob) as error:
            print(f"job {job}: not requeued: {error}", file=sys.stderr)
            status = 1
    return status


def _classify(options: argparse.Namespace) -> int:
    from daemon import classify, config, service
    from daemon.config_file import DEFAULT_PATH

    service.configure_logging()
    unconfigured = options.config == DEFAULT_PATH and not options.config.exists()
    settings = config.Config() if unconfigured else config.load(options.config)
    return 0 if classify.run(settings, options.files, options.out) else 1


def _train(options: argparse.Namespace) -> int:
    from daemon import service
    from model.training.train import train

    service.configure_logging()
    train(options.version, options.manifest, options.root, options.out, service.now())
    return 0


def _evaluate(options: argparse.Namespace) -> int:
    from model.evaluation.evaluate import evaluate
    from model.evaluation.films import NoFilms
    from model.evaluation.table import table

    if options.lungs:
        return _evaluate_lungs(options)
    if options.card:
        return _card(options)
    sources = [name for listed in options.sources or [] for name in listed.split(",")] or None
    try:
        found = evaluate(options.model, options.manifest, options.root, options.folds, sources)
    except NoFilms as error:
        print(f"firstread: {error}", file=sys.stderr)
        return 1
    print(json.dumps(found, indent=2) if options.json else table(found))
    return 0


def _evaluate_lungs(options: argparse.Namespace) -> int:
    from model.evaluation import lungs

    if options.card or options.folds or options.sources:
        print(
            "firstread: --lungs judges its own test films: no --card, --folds or --sources", file=sys.stderr
        )
        return 2
    found = lungs.evaluate(options.manifest, options.root)
    print(json.dumps(found, indent=2) if options.json else lungs.table(found))
    return 0


def _card(options: argparse.Namespace) -> int:
    from daemon import service
    from model.evaluation.card import write_card

    if options.folds or options.sources:
        print("firstread: a card is of its version's test films: no --folds or --sources", file=sys.stderr)
        return 2
    print(write_card(options.model, options.manifest, options.root, service.now()))
    return 0


def _event_line(row: Any) -> str:
    move = f"{row.from_state or '':>8} -> {row.to_state:9}"
    thing = f"{row.kind} to {row.destination}" if row.delivery_id else "film"
    time_of_move = row.at.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    return f"{time_of_move}  job {row.film_id:<6} {thing:20} {move} {row.message}".rstrip()


def _event_json(row: Any) -> str:
    return json.dumps(
        {key: getattr(value, "isoformat", lambda v=value: v)() for key, value in row._mapping.items()}
    )


if __name__ == "__main__":
    sys.exit(main())
