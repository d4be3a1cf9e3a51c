"""Display pictures in memory that a reader and its workers share: through their pipes goes all but these."""

import dataclasses
import multiprocessing
import uuid
import weakref
from ctypes import Array
from typing import Self

import numpy as np

from model.pixels import LONGEST_SIDE
from model.reader import PreparedFilm

_BYTES_A_PICTURE = LONGEST_SIDE**2
# Of this process, by name.
_boards: "weakref.WeakValueDictionary[str, Board]" = weakref.WeakValueDictionary()


class Board:
    """Places for display pictures; given to workers when they are started.

    Each pool of workers is to have one of its own: what a worker that is not quite dead still writes is then
    seen by nobody.

    Parameters
    ----------
    memory : ctypes array of bytes
        Shared with whom it was given to; as a file it has no name, so that nothing is left of it.
    name : str
        The same in all processes that share it.
    """

    def __init__(self, memory: Array, name: str) -> None:
        self._memory = memory
        self.name = name
        self._pictures = np.frombuffer(memory, np.uint8).reshape(-1, _BYTES_A_PICTURE)
        _boards[name] = self

    @classmethod
    def of(cls, places: int) -> Self:
        """A new one."""
        memory = multiprocessing.get_context("forkserver").RawArray("B", places * _BYTES_A_PICTURE)
        return cls(memory, uuid.uuid4().hex)

    def __reduce__(self) -> tuple:
        return Board, (self._memory, self.name)

    def put(self, film: PreparedFilm, place: int) -> "SharedFilm":
        """The film with its display picture at a place, which no other film has meanwhile.

        Parameters
        ----------
        film : PreparedFilm
            One that is on this board already stays as it is.
        place : int
        """
        if isinstance(film, SharedFilm) and film.board is self:
            return film
        fields = {field.name: getattr(film, field.name) for field in dataclasses.fields(PreparedFilm)}
        fields["display"] = self.picture(place, film.display.shape)
        fields["display"][:] = film.display
        return SharedFilm(**fields, board=self, place=place)

    def picture(self, place: int, shape: tuple[int, int]) -> np.ndarray:
        """What is at a place, (rows, columns) uint8."""
        rows, columns = shape
        return self._pictures[place, : rows * columns].reshape(shape)


@dataclasses.dataclass(frozen=True)
class SharedFilm(PreparedFilm):
    """A prepared film whose display picture is on a board; pickled it says where."""

    board: Board = dataclasses.field(kw_only=True)
    place: int = dataclasses.field(kw_only=True)

    def __reduce__(self) -> tuple:
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(PreparedFilm)}
        return _found, (self.board.name, self.place, fields.pop("display").shape, fields)


def _found(name: str, place: int, shape: tuple[int, int], fields: dict) -> SharedFilm:
    board = _boards[name]
    return SharedFilm(display=board.picture(place, shape), **fields, board=board, place=place)
