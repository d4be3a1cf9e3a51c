"""Verbs for model versions: which there are, which one reads, how a second compares, how fast they are."""

import argparse
import dataclasses
import datetime
import json
from typing import TYPE_CHECKING, Any

from daemon import cli_jobs

if TYPE_CHECKING:
    from storage.shadow import Comparison

DIGITS_OF_DIGEST = 12


def listed(options: argparse.Namespace) -> int:
    """List the versions that are installed."""
    from model import lungs, weights

    model = cli_jobs.config_of(options).model
    finder = weights.open_version(lungs.FINDERS / lungs.LATEST)
    rows = [_described(name, model.version, model.shadow, finder) for name in weights.available()]
    if options.json:
        print(json.dumps(rows, indent=2))
    else:
        from daemon import terminal

        columns = ("name", "version", "role", "networks", "weights_mib", "weights_sha256", "problem")
        terminal.console().print(
            terminal.table(
                ["name", "version", "role", "networks", ">MiB", "SHA-256", ""],
                [[_shortened(key, row[key]) for key in columns] for row in rows],
            )
        )
    return 1 if any(row["problem"] for row in rows) else 0


def _described(name: str, active: str, shadow: str, finder: Any) -> dict[str, Any]:
    from model import weights

    recipe = weights.read_recipe(weights.VERSIONS / name)
    row = {
        "name": name,
        "version": recipe["version"],
        "role": {active: "reads", shadow: "shadow"}.get(name, ""),
        "networks": recipe["network"],
        "lungs": None,
        "weights_mib": None,
        "weights_sha256": None,
        "problem": "",
    }
    try:
        version = weights.open_version(name)
    except weights.WeightsInvalid as error:
        return row | {"problem": str(error)}
    steps = "one a step" if len(version.weights) > 1 else "one for both"
    return row | {
        "networks": f"{recipe['network']}, {steps}",
        "lungs": f"{finder.recipe['name']} {finder.recipe['version']}",
        "weights_mib": round(sum(file.stat().st_size for file in version.weights) / (1 << 20), 1),
        "weights_sha256": weights.spoken_by(version, finder),
    }


def _shortened(key: str, value: object) -> str:
    if value is None:
        return "-"
    return str(value)[:DIGITS_OF_DIGEST] if key == "weights_sha256" else str(value)


def promote(options: argparse.Namespace) -> int:
    """Let a version read from now on."""
    from daemon import config_edit
    from model import weights

    weights.open_version(options.name)
    model = cli_jobs.config_of(options).model
    if model.version == options.name:
        print(f"{options.name} reads already")
        return 0
    was_shadow = model.shadow == options.name
    changes = {"version": options.name} | ({"shadow": ""} if was_shadow else {})
    config_edit.change(options.config, "model", changes)
    print(f"{options.config}: {options.name} reads in place of {model.version}")
    print("the reader takes it up by: sudo systemctl reload firstread-read (or restart)")
    if was_shadow:
        print("it was the shadow, there is none now: sudo systemctl restart firstread-shadow")
    return 0


def bench(options: argparse.Namespace) -> int:
    """Time the networks on this machine."""
    from daemon import bench_model, terminal

    model = cli_jobs.config_of(options).model
    found = bench_model.measure(options.model or model.version, model.share(1))
    if options.json:
        print(json.dumps(found, indent=2))
        return 0
    print("{version} with {lungs}, {engine}, on {device}".format_map(found))
    print()
    terminal.console().print(
        terminal.table(
            [">films in a call", ">lungs, films/s", ">network, films/s", ">both, films/s", ">CPU ms a film"],
            [[f"{value:.5g}" for value in batch.values()] for batch in found["batches"]],
        )
    )
    print()
    print(f"[model] batch_size = {found['batch_size']}  # in force: {model.batch_size}")
    return 0


def compare(options: argparse.Namespace) -> int:
    """Compare the versions that read in the shadow with the one that answers."""
    from daemon import service
    from storage import database, shadow

    now = service.now()
    with database.reading(cli_jobs.job_database(options)) as connection:
        pairs = shadow.compare(connection, now - datetime.timedelta(days=options.days), now)
    if options.json:
        print(json.dumps([_as_json(pair) for pair in pairs], indent=2))
    elif not pairs:
        print(f"no version has read in the shadow of another within {options.days} days")
    else:
        for pair in pairs:
            _print_comparison(pair)
    return 0


def _as_json(pair: "Comparison") -> dict[str, Any]:
    """JSON has no pairs for keys, so the decisions are a list."""
    decisions = [
        {"main": main, "shadow": shadow, "films": films}
        for (main, shadow), films in sorted(pair.decisions.items())
    ]
    return dataclasses.asdict(pair) | {"decisions": decisions}


def _print_comparison(pair: "Comparison") -> None:
    from daemon import terminal

    def figure(value: float | None) -> str:
        return "-" if value is None else f"{value:.3f}"

    names = [
        f"{one['model']} {one['version']} ({one['weights_sha256'][:DIGITS_OF_DIGEST]})"
        for one in (pair.main, pair.shadow)
    ]
    print(f"{names[0]} reads, {names[1]} in its shadow")
    print(f"films read by both  {pair.films}, not read by the shadow {pair.unread}")
    print(f"equal decisions     {figure(pair.agreement)}, kappa {figure(pair.kappa)}")
    print(
        f"seconds a film      {figure(pair.main_seconds)}, the shadow {figure(pair.shadow_seconds)} (medians)"
    )
    said = sorted({decision for of_pair in pair.decisions for decision in of_pair})
    print()
    terminal.console().print(
        terminal.table(
            ["decisions, shadow:", *(f">{decision}" for decision in said)],
            [[main, *(pair.decisions.get((main, shadow), 0) for shadow in said)] for main in said],
        )
    )
    print()
