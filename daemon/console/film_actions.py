"""What is done with one film, as the command line does it: verdict, withdrawal; and its reading."""

import datetime
from collections.abc import Iterable
from typing import Annotated, Any, Literal

from fastapi import APIRouter, HTTPException, Path, Request
from pydantic import BaseModel, ConfigDict, Field

from daemon import service
from daemon.console import audit, reading
from daemon.console.access import Reader, Viewer
from daemon.console.site import Database, Films
from daemon.results import wording
from daemon.withdraw import NothingToWithdraw, withdraw
from model.cascade import LONGEST_LABEL
from storage import database, film_maps, films, verdicts
from storage.deliveries import NOTE
from storage.spool import SpoolUnavailable
from storage.states import FILM_MOVES, FilmState, Opinion
from storage.withdrawals import BeingSent

REJECTIONS = {
    "quality": "rejected for quality reasons",
    "patient-safety": "rejected for patient safety reasons",
    "worklist": "the film is filed under the wrong patient or study",
}
Job = Annotated[int, Path(ge=1, le=2**63 - 1)]
NO_SUCH_JOB: dict[int | str, dict[str, Any]] = {404: {"description": "No such job."}}
NOT_NOW: dict[int | str, dict[str, Any]] = {
    **NO_SUCH_JOB,
    409: {"description": "The film's state does not allow it."},
}

router = APIRouter(prefix="/api/jobs", tags=["film"])


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class VerdictBody(_Body):
    """What a reader says."""

    opinion: Opinion
    finding: Annotated[
        str,
        Field(max_length=LONGEST_LABEL, description="a label of the version that read, or other finding"),
    ] = ""
    remark: Annotated[str, Field(max_length=verdicts.LONGEST_REMARK)] = ""


class WithdrawBody(_Body):
    """Title of the rejection note (PS3.16 CID 7010)."""

    reason: Literal["quality", "patient-safety", "worklist"]


class Done(BaseModel):
    """What was done."""

    done: str


class KeptVerdict(BaseModel):
    """What a reader said, when, of which reading."""

    at: datetime.datetime
    user: str
    opinion: Opinion
    finding: str
    remark: str
    version: str
    decision: str


class Activation(BaseModel):
    """Where the model looked: rows of cells over the whole film, 0 to 1, share of the maximum."""

    label: str
    step: int
    cells: tuple[int, int]
    shares: list[list[float]]


class ReadingAnswer(BaseModel):
    """A reading in words and figures; of a film that was not read, why."""

    research_use_only: str
    job: int
    state: FilmState
    reason: str
    headline: str
    subline: str
    figures: dict[str, Any] | None
    activation: Activation | None
    verdicts: list[KeptVerdict]


@router.get("/{job}/reading", responses=NO_SUCH_JOB)
def get_reading(request: Request, job: Job, user: Viewer, engine: Database) -> ReadingAnswer:
    """The reading of a film, and what readers say of it."""
    with database.reading(engine) as connection:
        row = _film(connection, job)
        film_map = film_maps.of_film(connection, job)
        said = verdicts.of_film(connection, job)
    audit.film_used(request, user, "R", row)
    shown = reading.of_film(row, film_map)
    activation = None
    if film_map is not None:
        shares, _ = reading.maps.unpack(film_map)
        activation = Activation(
            label=film_map.label,
            step=film_map.step,
            cells=(film_map.cell_rows, film_map.cell_columns),
            shares=shares.astype(float).round(4).tolist(),
        )
    return ReadingAnswer(
        research_use_only=wording.COMMENT,
        job=job,
        state=FilmState(row.state),
        reason=row.reason,
        headline=shown.headline,
        subline=shown.subline,
        figures=row.reading,
        activation=activation,
        verdicts=[
            KeptVerdict(
                at=one.at, user=one.user_name, opinion=Opinion(one.opinion), finding=one.finding,
                remark=one.remark, version=one.version, decision=one.decision,
            )
            for one in said
        ],
    )  # fmt: skip


@router.post("/{job}/verdict", responses=NOT_NOW)
def post_verdict(request: Request, job: Job, body: VerdictBody, user: Reader, engine: Database) -> Done:
    """Keep what a reader says of the reading; no score is changed by it, and no PACS hears of it."""
    with database.reading(engine) as connection:
        row = _film(connection, job)
    try:
        said = verdicts.Verdict(body.opinion, body.finding, body.remark, reading.findings(row))
    except ValueError as error:
        raise HTTPException(422, str(error)) from error
    try:
        verdicts.add(engine, job, said, user.name, service.now())
    except verdicts.NoReading as error:
        raise HTTPException(409, str(error)) from error
    audit.film_used(request, user, "U", row)
    return Done(done=f"{body.opinion.lower()}, kept")


@router.post("/{job}/withdraw", responses=NOT_NOW)
def post_withdraw(
    request: Request, job: Job, body: WithdrawBody, user: Reader, engine: Database, spool: Films
) -> Done:
    """Tell every destination that may have a result of a film that it is rejected (IHE IOCM)."""
    with database.reading(engine) as connection:
        row = _film(connection, job)
    try:
        told = withdraw(engine, spool, job, body.reason, user.name)
    except (NothingToWithdraw, BeingSent, FileNotFoundError, SpoolUnavailable) as error:
        raise HTTPException(409, f"not withdrawn: {error}") from error
    audit.film_used(request, user, "D", row)
    return Done(done=f"withdrawn; {told} destinations are told")


def can_requeue(row: Any) -> bool:
    """Whether the film itself may be put back in the queue."""
    is_end = FilmState.QUEUED in FILM_MOVES[row.state] and row.state != FilmState.READING
    return is_end and row.files_removed_at is None and row.withdrawn_at is None


def can_withdraw(row: Any, sent: Iterable[Any]) -> bool:
    """Whether the film has results of a reading that somebody may have."""
    has_results = any(one.kind != NOTE and one.sop_class_uid and one.attempts for one in sent)
    return has_results and bool(row.reading) and row.files_removed_at is None and row.withdrawn_at is None


def _film(connection: Any, job: int) -> Any:
    try:
        return films.get(connection, job)
    except films.NoSuchJob as error:
        raise HTTPException(404, str(error)) from error
