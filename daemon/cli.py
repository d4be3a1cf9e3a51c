"""The command ``firstread``. Each verb imports what it needs, so that ``tail`` starts at once."""

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from daemon import cli_admin, cli_jobs, cli_models, cli_processes, cli_users, collector
from storage.states import DeliveryState, FilmState

# Which extra brings a package that some verbs need; all others are those of train and evaluate.
EXTRAS = {
    "obstore": "s3", "pyarrow": "archive", "ray": "ray", "fontTools": "study", "statsmodels": "study",
    "weasyprint": "study",
}  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    """Run a verb; the exit status: 0 done, 1 a problem was found, 2 wrong usage."""
    with collector.resting():
        parser = _parser()
        options = parser.parse_args(arguments)
        from daemon.config_file import BadConfig
        from model.gpus import GpuMissing
        from model.weights import WeightsInvalid
        from storage.backup import BadBackup
        from storage.database import NewerSchema, SchemaMissing, SQLAlchemyError
        from storage.films import NoSuchJob
        from storage.users import BadAccount, NoSuchUser, UserExists

    try:
        return options.run(options)
    except BrokenPipeError:
        # Who reads our answers, such as head, has enough of them.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except SQLAlchemyError as error:
        # Its text goes on with the statement and its values.
        problem = f"database: {str(getattr(error, 'orig', None) or error).strip().splitlines()[0]}"
    except (
        BadAccount,
        BadBackup,
        BadConfig,
        GpuMissing,
        NewerSchema,
        NoSuchJob,
        NoSuchUser,
        SchemaMissing,
        UserExists,
        WeightsInvalid,
        OSError,
    ) as error:
        problem = str(error)
    except ModuleNotFoundError as error:
        extra = EXTRAS.get(error.name, "train")
        problem = f"package {error.name} is not installed; firstread[{extra}] brings it"
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
    _add_processes(verbs)
    _add_looking_after(parser, verbs)
    _add_jobs(verbs)
    _add_models(verbs)
    return parser


def _verb(
    among: Any, name: str, run: Callable[[argparse.Namespace], int], text: str, example: str
) -> argparse.ArgumentParser:
    """Add a verb; its example is a command line without the program's name."""
    added = among.add_parser(
        name,
        help=text,
        description=text,
        epilog=f"example: firstread {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    added.set_defaults(run=run)
    return added


def _add_processes(verbs: Any) -> None:
    text = "receive, read, send and console on one machine, under one supervisor"
    _verb(verbs, "run", cli_processes.run, text, "--config firstread.toml run")
    _verb(verbs, "receive", cli_processes.receive, "take films from modalities", "receive")
    for name, function, text in (
        ("read", cli_processes.read, "read queued films"),
        ("send", cli_processes.send, "deliver results"),
    ):
        verb = _verb(verbs, name, function, text, f"{name} --once")
        verb.add_argument("--once", action="store_true", help="drain the queue and end")
        if name == "read":
            which = "which of this machine's readers it is: they take [model] gpus in turn (%(default)s)"
            verb.add_argument("--reader", type=_whole(64), default=1, metavar="N", help=which)
    text = "bring the database to this release's schema, as every start does"
    _verb(verbs, "migrate", cli_jobs.migrate, text, "migrate")
    text = "read films with [model] shadow too, and send nothing of it"
    _verb(verbs, "shadow", cli_processes.shadow, text, "shadow")
    _verb(verbs, "console", cli_processes.console, "web pages for radiologists and admins", "console")


def _add_looking_after(parser: argparse.ArgumentParser, verbs: Any) -> None:
    text = "config, packages, database, weights, destinations; one line each"
    _verb(verbs, "check", cli_admin.check, text, "check")
    _verb(verbs, "doctor", cli_admin.doctor, "what check finds, and what to do about it", "doctor")
    top = _verb(verbs, "top", cli_admin.top, "queues, rates, last films; q ends", "top --once")
    top.add_argument("--once", action="store_true", help="print one frame and end")
    config = _verb(verbs, "config", cli_admin.show_config, "the settings in force", "config show")
    about = config.add_subparsers(required=True, metavar="VERB")
    text = "every option, those that differ from their defaults marked"
    show = _verb(about, "show", cli_admin.show_config, text, "config show --json")
    show.add_argument("--json", action="store_true", help="value and default of each, as one JSON object")
    text = "what a shell needs to complete verbs, options and files"
    example = "completion bash > /usr/share/bash-completion/completions/firstread"
    completion = _verb(verbs, "completion", cli_admin.completion, text, example)
    completion.add_argument("shell", choices=("bash", "zsh"))
    completion.set_defaults(parser=parser)
    text = "who may log in to the console"
    cli_users.register(_verb(verbs, "users", cli_users.list_all, text, "users list"), _verb)


def _add_jobs(verbs: Any) -> None:
    tail = _verb(verbs, "tail", cli_jobs.tail, "job events, newest last", "tail -f --state FAILED")
    tail.add_argument("-f", "--follow", action="store_true", help="go on with new ones")
    tail.add_argument("--json", action="store_true", help="one JSON object a line")
    states = sorted({*FilmState, *DeliveryState})
    tail.add_argument("--state", choices=states, help="only moves to this state")
    show = _verb(verbs, "show", cli_jobs.show, "one film's history and its deliveries", "show 4711")
    show.add_argument("job", type=int)
    text = "put failed or skipped films, or failed deliveries, back"
    requeue = _verb(verbs, "requeue", cli_jobs.requeue, text, "requeue 4711 4712")
    requeue.add_argument("jobs", type=int, nargs="+", metavar="JOB")
    text = "tell destinations that a film's results are rejected"
    withdraw = _verb(verbs, "withdraw", cli_jobs.withdraw, text, "withdraw 4711 --reason patient-safety")
    withdraw.add_argument("job", type=int)
    withdraw.add_argument("--reason", choices=cli_jobs.REASONS, default="quality", help="(%(default)s)")
    text = "have an archive send films from before; they are read after all others"
    example = "backfill --from 2026-01-01 --modality CR,DX"
    backfill = _verb(verbs, "backfill", _backfill, text, example)
    what = backfill.add_mutually_exclusive_group(required=True)
    what.add_argument("--from", type=cli_jobs.day, dest="first", metavar="DAY", help="as 2026-01-01")
    text = "Study Instance UIDs, one a line, or CSV with a column study_instance_uid"
    what.add_argument("--studies", type=Path, metavar="FILE", help=text)
    backfill.add_argument("--to", type=cli_jobs.day, metavar="DAY", help="the last one (yesterday)")
    backfill.add_argument(
        "--modality", type=cli_jobs.modalities, metavar="CR,DX", help="([scope] modalities of the config)"
    )
    backfill.add_argument("--dry-run", action="store_true", help="only count them, at any hour")
    text = "copy the jobs, and the films and results not delivered, while running"
    backup = _verb(verbs, "backup", cli_jobs.backup, text, "backup /backup/2026-11-25")
    backup.add_argument("folder", type=Path, metavar="DIR", help="a new folder")
    text = "bring a backup into an empty database and spool"
    restore = _verb(verbs, "restore", cli_jobs.restore, text, "restore /backup/2026-11-25")
    restore.add_argument("folder", type=Path, metavar="DIR", help="a folder that backup wrote")


def _add_models(verbs: Any) -> None:
    _add_versions(verbs)
    _add_bench(verbs)
    text = "read films without network or database"
    classify = _verb(verbs, "classify", _classify, text, "classify film.dcm --out results")
    classify.add_argument("files", type=Path, nargs="+", metavar="FILE")
    classify.add_argument("--out", type=Path, required=True, metavar="DIR", help="where the results go")
    text = "read a whole archive into tables of scores; the same command goes on where it was"
    example = "score-archive /archive --out /scores"
    archive = _verb(verbs, "score-archive", _score_archive, text, example)
    archive.add_argument("source", metavar="SOURCE", help="a folder, or s3://bucket/prefix")
    archive.add_argument("--out", required=True, metavar="PLACE", help="another, for the scores")
    archive.add_argument(
        "--list", type=Path, metavar="FILE", help="the films' names in SOURCE, one a line (all that it holds)"
    )
    archive.add_argument(
        "--films-a-part", type=_whole(100_000), default=1000, metavar="N", help="rows of a file (%(default)s)"
    )
    archive.add_argument(
        "--texture", action="store_true", help="IBSI features of lungs and main region, 339 columns more"
    )
    where = archive.add_mutually_exclusive_group()
    where.add_argument(
        "--workers", type=_whole(1024), metavar="N", help="processes that decode (one for each processor)"
    )
    where.add_argument("--ray", metavar="ADDRESS", help="on a cluster: auto, ray://HOST:PORT, or local")
    example = "train model/versions/gao-2020 --manifest films.csv --root films --out made"
    train = _verb(verbs, "train", _train, "make the weights of a model version", example)
    train.add_argument("version", type=Path, metavar="DIR", help="folder with model.toml, the recipe")
    train.add_argument("--out", type=Path, required=True, metavar="DIR", help="checkpoints and weights")
    example = "evaluate --model gao-2020 --manifest films.csv --root films --folds 8"
    evaluate = _verb(verbs, "evaluate", _evaluate, "judge a model version on labelled films", example)
    judged = evaluate.add_mutually_exclusive_group(required=True)
    judged.add_argument("--model", metavar="NAME", help="name of a model version")
    judged.add_argument("--lungs", action="store_true", help="judge the network that finds the lungs instead")
    evaluate.add_argument("--against", metavar="NAME", help="compare with this version on the same films")
    evaluate.add_argument("--folds", type=int, nargs="+", metavar="N", help="only these folds (all)")
    evaluate.add_argument("--sources", nargs="+", metavar="NAME", help="only these, also NAME,NAME (all)")
    answer = evaluate.add_mutually_exclusive_group()
    answer.add_argument("--json", action="store_true", help="every figure, as one JSON object")
    answer.add_argument(
        "--card", action="store_true", help="write the version's card, from its own test films"
    )
    answer.add_argument(
        "--report", type=Path, metavar="DIR", help="write a study's report there, HTML and PDF"
    )
    text = "of its examples: those whose licence lets everyone show them (%(default)s), all, or none"
    evaluate.add_argument("--films", choices=("licensed", "all", "none"), default="licensed", help=text)
    text = "choose, judge and draw the films of a study from a table of admissions ([study] of the config)"
    cohort = _verb(verbs, "cohort", _cohort, text, "cohort --out study-1")
    cohort.add_argument("--out", type=Path, required=True, metavar="DIR", help="a new folder")
    text = "copy the films of a cohort from the film store without names, for train and evaluate"
    films = _verb(verbs, "deidentify", _deidentify, text, "deidentify study-1 --out films-1")
    films.add_argument("study", type=Path, metavar="STUDY", help="the folder that cohort wrote")
    films.add_argument("--out", type=Path, required=True, metavar="DIR", help="a new folder")
    films.add_argument("--source", default="hospital", metavar="NAME", help="of this hospital (%(default)s)")
    for learning in (train, evaluate):
        learning.add_argument(
            "--manifest", type=Path, required=True, metavar="CSV", help="the labelled films"
        )
        learning.add_argument("--root", type=Path, required=True, metavar="DIR", help="where their files lie")


def _add_versions(verbs: Any) -> None:
    text = "versions that are installed, which one reads, how a second one compares"
    models = _verb(verbs, "models", cli_models.listed, text, "models list")
    about = models.add_subparsers(required=True, metavar="VERB")
    listed = _verb(about, "list", cli_models.listed, "the versions that are installed", "models list")
    listed.add_argument("--json", action="store_true", help="with the whole SHA-256, as JSON")
    text = "let a version read from now on: sets [model] version in the config file"
    promote = _verb(about, "promote", cli_models.promote, text, "models promote gao-2020")
    promote.add_argument("name", metavar="NAME", help="a version of models list")
    text = "the version that reads and the one in its shadow, on the films of both"
    compare = _verb(about, "compare", cli_models.compare, text, "models compare --days 30")
    compare.add_argument("--days", type=_whole(36500), default=7, metavar="N", help="(%(default)s)")
    compare.add_argument("--json", action="store_true", help="with the scores of every film, as JSON")


def _add_bench(verbs: Any) -> None:
    text = "films a second that the networks answer on this machine, by films in a call"
    bench = _verb(verbs, "bench-model", cli_models.bench, text, "bench-model")
    bench.add_argument("--model", metavar="NAME", help="a version of models list ([model] version)")
    bench.add_argument("--json", action="store_true", help="every figure, as one JSON object")


def _whole(most: int) -> Callable[[str], int]:
    """A whole number of the command line, 1 to `most`."""

    def number(text: str) -> int:
        if not (text.isdecimal() and 1 <= int(text) <= most):
            raise argparse.ArgumentTypeError(f"found {text}, expected 1 to {most}")
        return int(text)

    return number


def _backfill(options: argparse.Namespace) -> int:
    from daemon import cli_backfill

    return cli_backfill.run(options)


def _score_archive(options: argparse.Namespace) -> int:
    from daemon import cli_archive

    return cli_archive.run(options)


def _cohort(options: argparse.Namespace) -> int:
    from daemon import cli_cohort

    return cli_cohort.make(options)


def _deidentify(options: argparse.Namespace) -> int:
    from daemon import cli_cohort

    return cli_cohort.deidentify(options)


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
    from daemon import cli_evaluate

    return cli_evaluate.run(options)


if __name__ == "__main__":
    sys.exit(main())
