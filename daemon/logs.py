"""Log lines that tell what they are about: process, job, SOP Instance UID, association; never a patient."""

import contextlib
import datetime
import json
import logging
import traceback
from collections.abc import Iterator
from contextvars import ContextVar
from types import TracebackType

_CONTEXT: ContextVar[dict[str, str | int]] = ContextVar("context", default={})  # noqa: B039 - never changed
_ORDER = ("job", "sop_instance_uid", "association", "calling_ae_title", "destination")


@contextlib.contextmanager
def about(**context: str | int) -> Iterator[None]:
    """Name what the log lines of this thread are about meanwhile.

    Parameters
    ----------
    context
        ``job``, ``sop_instance_uid``, ``association`` (its number in this process), ``calling_ae_title``,
        ``destination``.
    """
    token = _CONTEXT.set(_CONTEXT.get() | context)
    try:
        yield
    finally:
        _CONTEXT.reset(token)


def place(error: BaseException) -> str:
    """Kind of a fault of ours and where it is; not its text, which may quote what a film says."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" at {frames[-1].filename.rpartition('/')[2]}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{where}"


class _Formatter(logging.Formatter):
    """One line an event, in text or in JSON."""

    def __init__(self, process: str, as_json: bool) -> None:
        super().__init__()
        self._process = process
        self._as_json = as_json

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.datetime.fromtimestamp(record.created).astimezone()
        context = {key: _CONTEXT.get()[key] for key in _ORDER if key in _CONTEXT.get()}
        told = self.formatException(record.exc_info) if record.exc_info else ""
        if self._as_json:
            line = {
                "time": at.isoformat(timespec="milliseconds"),
                "level": record.levelname,
                "logger": record.name,
                "process": self._process,
                "pid": record.process,
                "message": record.getMessage(),
                **context,
            }
            return json.dumps(line | ({"exception": told} if told else {}), ensure_ascii=False)
        about = " ".join(f"{key}={value}" for key, value in ({"process": self._process} | context).items())
        line = f"{at:%Y-%m-%d %H:%M:%S},{record.msecs:03.0f} {record.levelname} {record.name} [{about}] "
        line += record.getMessage()
        return f"{line}\n{told}" if told else line

    def formatException(
        self,
        ei: tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None],
    ) -> str:
        """The frames of a traceback without the exceptions' texts, which may quote what a film says."""
        lines, error = [], ei[1]
        while error is not None:
            frames = traceback.format_list(traceback.extract_tb(error.__traceback__))
            lines = ["".join(frames) + type(error).__name__, *lines]
            error = error.__cause__ or error.__context__
        return "\n".join(lines)


def handler(process: str, as_json: bool) -> logging.Handler:
    """A handler to stderr for a process of the node.

    Parameters
    ----------
    process : str
        Its role.
    as_json : bool
        One JSON object a line; else text.
    """
    made = logging.StreamHandler()
    made.setFormatter(_Formatter(process, as_json))
    return made
