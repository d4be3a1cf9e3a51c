"""A table of another program's database, read and never written."""

from collections.abc import Iterator, Mapping, Sequence

from sqlalchemy import MetaData, Table, create_engine, make_url, select
from sqlalchemy.exc import NoSuchTableError, SQLAlchemyError

from storage.database import DatabaseUnavailable

_ROWS_AT_ONCE = 1000


class TableUnusable(ValueError):
    """The table is not there, or lacks columns."""


def read(
    url: str, password: str | None, name: str, needed: Sequence[str], welcome: Sequence[str]
) -> Iterator[Mapping[str, object]]:
    """Rows of a table or view, as they come.

    Parameters
    ----------
    url : str
        Of any database that SQLAlchemy has a driver for.
    password : str or None
        Put into the URL, so that no config file holds it.
    name : str
        ``table`` or ``schema.table``.
    needed, welcome : sequence of str
        Columns that must be there, and those that may.

    Raises
    ------
    DatabaseUnavailable
    TableUnusable
    """
    schema, _, table_name = name.rpartition(".")
    engine = None
    try:
        parsed = make_url(url)
        engine = create_engine(parsed if password is None else parsed.set(password=password))
        table = Table(table_name, MetaData(), schema=schema or None, autoload_with=engine)
        if missing := [column for column in needed if column not in table.c]:
            raise TableUnusable(
                f"table {name}: found no column {', '.join(missing)}, expected {', '.join(needed)}"
            )
        columns = [table.c[column] for column in (*needed, *welcome) if column in table.c]
        with engine.connect() as connection:
            yield from (
                connection.execution_options(yield_per=_ROWS_AT_ONCE).execute(select(*columns)).mappings()
            )
    except NoSuchTableError as error:
        raise TableUnusable(f"found no table {name}, expected a table or view with examinations") from error
    except (SQLAlchemyError, ImportError) as error:
        # A driver's message may quote values.
        raise DatabaseUnavailable(f"admissions not readable: {type(error).__name__}") from error
    finally:
        if engine is not None:
            engine.dispose()
