"""Monitoring as the page shows it: scores against the reference, senders, refusals, what a flag is worth."""

import dataclasses
import datetime
import math

from daemon import drift, monitoring, predictive
from daemon.config import Config, Triage
from daemon.console import charts
from daemon.console.signs import Sign
from daemon.drift import Share
from daemon.monitoring import Refusals, Report, Shift
from daemon.results.kept import installed_cascade
from storage import database
from storage.database import Engine
from storage.monitoring import Agreement, agreement

VERDICT_DAYS = 30
MOST_ROWS = 8
PREVALENCES = {
    "COVID-19": "prevalence_covid19",
    "bacterial": "prevalence_bacterial",
    "other virus": "prevalence_other_virus",
}


@dataclasses.dataclass(frozen=True)
class Worth:
    """What a flag is worth at the prevalence here.

    Parameters
    ----------
    rates_from : str
        Which films sensitivity and specificity were measured on, and how many of them had it.
    """

    decision: str
    prevalence: float
    ppv: Share | None
    npv: Share | None
    rates_from: str


@dataclasses.dataclass(frozen=True)
class Monitored:
    """All of it; the report is None while nothing was read."""

    report: Report | None
    psi_alert: float
    least_films: int
    worth: list[Worth]
    verdicts: list[Agreement]


def look(config: Config, engine: Engine, now: datetime.datetime) -> Monitored:
    """Figures of monitoring, a few hundred rows of counts."""
    with database.reading(engine) as connection:
        report = monitoring.report(connection, config.monitoring, now.astimezone(datetime.UTC).date())
    return Monitored(
        report,
        config.monitoring.psi_alert,
        config.monitoring.least_films,
        worth(config.model.version, config.triage),
        agreement(engine, now - datetime.timedelta(days=VERDICT_DAYS)),
    )


def worth(version: str, triage: Triage) -> list[Worth]:
    """Predictive values of each possibility, sensitivity and specificity being the version's own."""
    found = []
    findings = installed_cascade(version).findings
    for decision, option in PREVALENCES.items():
        if decision not in findings:
            continue
        prevalence, rates = getattr(triage, option), predictive.rates(version, decision)
        values = rates and rates.predictive_values(prevalence)
        if not values:
            found.append(
                Worth(decision, prevalence, None, None, "too few films of it in the version's figures")
            )
            continue
        ppv, npv = values
        films = "films of sources held out" if rates.held_out else "test films of the training sources"
        found.append(Worth(decision, prevalence, ppv, npv, f"{films}, {rates.films} with it"))
    return found


@dataclasses.dataclass(frozen=True)
class Line:
    """A row with a small line of the last days."""

    name: str
    films: int
    sparks: list[str]
    limit_y: float
    value: str
    sign: Sign
    note: str


def senders(found: Monitored) -> list[Line]:
    """Rows of the senders' table."""
    if found.report is None:
        return []
    top = max(
        2 * found.psi_alert,
        *(value or 0.0 for one in found.report.senders for value in one.trend),
    )
    return [
        Line(
            one.name,
            one.films,
            charts.spark(one.trend, top),
            charts.spark_y(found.psi_alert, top),
            "" if one.index is None else f"{one.index:.2f}",
            sign(one, found.psi_alert),
            f"{percent(one.flagged)} flagged, reference {percent(one.flagged_before)}",
        )
        for one in found.report.senders[:MOST_ROWS]
    ]


def sign(one: Shift, psi_alert: float) -> Sign:
    """Whether a person is to look."""
    if one.index is None:
        return Sign("", "too few films", "dim")
    if one.alert_since is not None:
        return Sign("question", f"over {psi_alert:.2f} since {one.alert_since:%d %b}", "caution")
    if one.index > monitoring.STEADY:
        return Sign("ring", "moving", "")
    return Sign("ok", "steady", "")


def refusals(found: Monitored) -> list[tuple[str, list[Line]]]:
    """Rows of what is not analysed, by sender, manufacturer and view."""
    if found.report is None:
        return []
    tables = []
    for part in monitoring.PARTS:
        rows = [one for one in found.report.refusals if one.part == part][:MOST_ROWS]
        top = max(0.1, *(value or 0.0 for one in rows for value in one.trend)) if rows else 0.1
        tables.append((part, [_refused(one, top) for one in rows]))
    return tables


def _refused(one: Refusals, top: float) -> Line:
    reasons = ", ".join(f"{code} {films}" for code, films in one.reasons[:3])
    # More than chance: the intervals do not touch.
    has_reference = not math.isnan(one.refused_before.value)
    more = has_reference and one.refused.low > one.refused_before.high
    return Line(
        one.name or "not said",
        one.films,
        charts.spark(one.trend, top),
        charts.spark_y(one.refused_before.value, top) if has_reference else -1.0,
        percent(one.refused),
        Sign("question", "more than before", "caution") if more else Sign("", "", ""),
        reasons,
    )


def percent(share: Share) -> str:
    """A share in per cent; of no films a word."""
    value = share.value
    if math.isnan(value):
        return "no films"
    return f"{100 * value:.0f} %" if 0.1 <= value <= 0.9 else f"{100 * value:.1f} %"


def agreeing(said: Agreement) -> Share:
    """Share of the films that readers agreed on, of those that they were sure of."""
    return drift.wilson(said.agree, said.agree + said.disagree)
