"""Jobs as JSON, and put back."""

import datetime
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from fastapi import APIRouter, HTTPException, Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from daemon import service
from daemon.console import answer, audit, signs
from daemon.console.access import Reader, Viewer
from daemon.console.jobs_search import PAGE_ROWS, Asked, find
from daemon.console.site import Database
from storage import database, deliveries, destinations, events, films, search
from storage.states import FilmState, IllegalMove

router = APIRouter(prefix="/api/jobs", tags=["jobs"])

REASONS = {
    "destination": "the destination is mended",
    "asked": "asked for by the department",
    "model": "to be read by another model version",
    "film": "the film is one of its own",
}


class Job(BaseModel):
    """One film's job; no patient identity."""

    job: int
    state: FilmState
    received_at: datetime.datetime
    accession_number: str
    sop_instance_uid: str
    study_instance_uid: str
    modality: str
    view_position: str
    sender: str
    said: str = Field(description="the reading in the words of the results, or the reason that there is none")
    tries: int
    deliveries: list["JobDelivery"]


class JobDelivery(BaseModel):
    """One result on its way to one destination."""

    kind: str
    destination: str
    state: str
    peer_status: int | None
    attempts: int
    reason: str
    sop_instance_uid: str


class JobEvent(BaseModel):
    """One move of a film or of one of its deliveries."""

    at: datetime.datetime
    what: str
    from_state: str | None
    to_state: str
    who: str
    message: str


class WholeJob(Job):
    """What ``firstread show`` tells."""

    figures: dict[str, Any] | None = Field(description="scores 0 to 1 within a step; not a probability")
    answer: str
    history: list[JobEvent]


class JobPage(BaseModel):
    """Jobs, newest first."""

    jobs: list[Job]
    older_than: int | None = Field(description="for the next page; none on the last")


class Requeue(BaseModel):
    """Why a job is put back."""

    model_config = ConfigDict(extra="forbid")
    reason: Literal["destination", "asked", "model", "film"]


class Requeued(BaseModel):
    """What was put back."""

    deliveries: int = Field(description="results that are sent again; 0 where the film is read again")


def _job(film: Any, sent: Sequence[Any]) -> dict[str, Any]:
    return {
        "job": film.id,
        "state": film.state,
        "received_at": film.received_at,
        "accession_number": film.accession_number,
        "sop_instance_uid": film.sop_instance_uid,
        "study_instance_uid": film.study_instance_uid,
        "modality": film.modality,
        "view_position": film.view_position,
        "sender": film.calling_ae_title,
        "said": signs.outcome(film).words,
        "tries": film.attempts,
        "deliveries": [{key: getattr(row, key) for key in JobDelivery.model_fields} for row in sent],
    }


@router.get("")
def api_jobs(_user: Viewer, engine: Database, asked: Annotated[Asked, Query()]) -> JobPage:
    """Jobs asked for, newest first, 50 at a time."""
    with database.reading(engine) as connection:
        found = find(connection, asked, service.now(), PAGE_ROWS + 1)
        some = found.jobs[:PAGE_ROWS]
        loaded = search.load(connection, some)
    older_than = some[-1] if len(found.jobs) > PAGE_ROWS else None
    return JobPage(jobs=[Job(**_job(film, sent)) for film, sent in loaded], older_than=older_than)


_JobNumber = Annotated[int, Path(ge=1, le=2**63 - 1)]
_ABSENT = {404: {"description": "no such job"}}


@router.get("/{job}", responses=_ABSENT)
def api_job(_user: Viewer, engine: Database, job: _JobNumber) -> WholeJob:
    """One film's job, its history and its deliveries."""
    now = service.now()
    with database.reading(engine) as connection:
        try:
            film = films.get(connection, job)
        except films.NoSuchJob as error:
            raise HTTPException(404, str(error)) from error
        sent = deliveries.of_film(connection, job)
        history = events.of_film(connection, job)
        down = {row.name: destinations.in_words(row) for row in destinations.down(connection)}
    return WholeJob(
        **_job(film, sent),
        figures=film.reading,
        answer=answer.answer(film, sent, history, down, now).sentence,
        history=[
            JobEvent(
                at=row.at,
                what=f"{row.kind} to {row.destination}" if row.delivery_id else "film",
                from_state=row.from_state,
                to_state=row.to_state,
                who=row.who,
                message=row.message,
            )
            for row in history
        ],
    )


@router.post(
    "/{job}/requeue",
    responses=_ABSENT | {409: {"description": "it is not at an end, or its files are gone"}},
)
def requeue(request: Request, user: Reader, engine: Database, job: _JobNumber, why: Requeue) -> Requeued:
    """Put the failed deliveries of a film back, or, where there are none, the film itself."""
    now, message = service.now(), f"requeued: {REASONS[why.reason]}"
    moved = deliveries.requeue_failed(engine, job, user.name, now, message)
    if not moved:
        try:
            films.requeue(engine, job, user.name, now, message)
        except films.NoSuchJob as error:
            raise HTTPException(404, str(error)) from error
        except IllegalMove as error:
            raise HTTPException(409, f"job {job} is not requeued: {error}") from error
    with database.reading(engine) as connection:
        audit.film_used(request, user, "U", films.get(connection, job))
    return Requeued(deliveries=moved)
