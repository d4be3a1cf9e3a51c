"""Verbs of ``firstread`` for who looks after the node: settings in force, problems, remedies, the shell."""

import argparse
import dataclasses
import json
from pathlib import Path
from typing import Any

from daemon import cli_jobs


def show_config(options: argparse.Namespace) -> int:
    """Show every option in force, those that differ from their defaults with these."""
    from daemon.config import Config
    from storage.database import without_password

    config = cli_jobs.config_of(options)
    # The password may stand in the URL, though it should not.
    config = dataclasses.replace(
        config,
        storage=dataclasses.replace(config.storage, database=without_password(config.storage.database)),
    )
    shown = {
        field.name: _options(getattr(config, field.name), getattr(Config(), field.name))
        for field in dataclasses.fields(config)
        if getattr(config, field.name) is not None
    }
    if options.json:
        print(json.dumps(shown, indent=2))
        return 0
    for name, tables in shown.items():
        for table in tables if isinstance(tables, list) else [tables]:
            print(f"[[{name}]]" if isinstance(tables, list) else f"[{name}]")
            print("\n".join(_option_lines(table)) + "\n")
    return 0


def _options(table: Any, default: Any) -> Any:
    """Value and default of each option of a table, or of each of an array of tables."""
    if isinstance(table, tuple):
        return [_options(one, None) for one in table]
    shown = {}
    for field in dataclasses.fields(table):
        shown[field.name] = {"value": getattr(table, field.name)}
        of_option = field.default if default is None else getattr(default, field.name)
        if of_option is not dataclasses.MISSING:
            shown[field.name]["default"] = of_option
    return shown


def _option_lines(table: dict[str, dict[str, Any]]) -> list[str]:
    """Lines of a config file, a mark behind each option that is not at its default."""
    from daemon.config_edit import as_toml

    lines = []
    for key, option in table.items():
        line = f"{key} = {as_toml(option['value'])}"
        if "default" in option and option["value"] != option["default"]:
            line += f"  # default: {as_toml(option['default'])}"
        lines.append(line)
    return lines


def check(options: argparse.Namespace) -> int:
    """Look whether everything is there, one line each."""
    from daemon import check, service

    service.configure_logging()
    config = cli_jobs.config_of(options)
    findings = []
    for finding in check.run(config, options.config):
        print(_finding_line(finding))
        findings.append(finding)
    return 0 if all(finding.is_well for finding in findings) else 1


def doctor(options: argparse.Namespace) -> int:
    """Say what `check` finds, and what to do about each problem."""
    from daemon import check, remedies, service
    from daemon.config_file import BadConfig

    service.configure_logging()
    try:
        config = cli_jobs.config_of(options)
        findings = check.run(config, options.config)
    except BadConfig as error:
        faults = str(error).splitlines()
        findings = [check.Finding("config", False, fault) for fault in faults[:-1]]
        findings.append(check.Finding("config", False, faults[-1], remedies.of_config(options.config)))
    problems = 0
    for finding in findings:
        print(_finding_line(finding))
        for remedy in finding.remedies:
            print(f"        {remedy.text}:\n            {remedy.command}")
        problems += not finding.is_well
    print(f"\nproblems: {problems}" if problems else "\nnothing to do")
    return 1 if problems else 0


def _finding_line(finding: Any) -> str:
    return f"{'ok' if finding.is_well else 'PROBLEM':8}{finding.name}: {finding.found}"


def completion(options: argparse.Namespace) -> int:
    """Write what a shell needs to complete verbs, options and files."""
    import shtab

    parsers = [options.parser]
    while parsers:
        for action in parsers.pop()._actions:
            if isinstance(action, argparse._SubParsersAction):
                parsers += action.choices.values()
            elif action.type is Path:
                action.complete = shtab.FILE
    print(shtab.complete(options.parser, options.shell))
    return 0


def top(options: argparse.Namespace) -> int:
    """Draw what the node does now."""
    from daemon import service, top

    config = cli_jobs.config_of(options)
    top.run(service.look_into_database(config.storage), config, options.once)
    return 0
