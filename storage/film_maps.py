"""Where the model looked and where the lungs are: kept with a reading, removed with the film's files."""

import dataclasses

from sqlalchemy import Connection, bindparam, delete, select

from storage.tables import film_map


@dataclasses.dataclass(frozen=True)
class FilmMap:
    """Small pictures over the film's whole area.

    Parameters
    ----------
    label : str
        Class whose activation is given.
    step : int
        1 or 2.
    cell_rows, cell_columns : int
        Places that the network tells apart.
    activation, lungs : bytes
        PNG, grey; what their levels mean is the caller's.
    """

    label: str
    step: int
    cell_rows: int
    cell_columns: int
    activation: bytes
    lungs: bytes


# Built once: that takes SQLAlchemy longer than the statements take to be carried out.
_INSERT = film_map.insert()
_DELETE = delete(film_map).where(film_map.c.film_id == bindparam("job"))


def put(connection: Connection, job: int, maps: FilmMap) -> None:
    """Keep the maps of a film within the caller's transaction, in place of those of an earlier reading."""
    remove(connection, job)
    connection.execute(_INSERT, {"film_id": job} | dataclasses.asdict(maps))


def remove(connection: Connection, job: int) -> None:
    """Remove the maps of a film, if there are any, within the caller's transaction."""
    connection.execute(_DELETE, {"job": job})


def of_film(connection: Connection, job: int) -> FilmMap | None:
    """The maps of one film; None where it was not read, or read by a release that kept none."""
    columns = [film_map.c[field.name] for field in dataclasses.fields(FilmMap)]
    row = connection.execute(select(*columns).where(film_map.c.film_id == job)).one_or_none()
    return None if row is None else FilmMap(*row)
