"""Films made ready, in memory that a reader and its workers share: no pixel of them goes through a pipe."""

import dataclasses
import math
import uuid
import weakref
from ctypes import Array
from multiprocessing.sharedctypes import RawArray
from typing import Self

import numpy as np
from numpy.typing import DTypeLike

from model.pixels import LONGEST_SIDE
from model.reader import InputSizes, PreparedFilm

_PICTURES = ("display", "lungs_input", "network_input")
# Of this process, by name.
_boards: "weakref.WeakValueDictionary[str, Board]" = weakref.WeakValueDictionary()


class Board:
    """Places for the pictures of a film; given to workers when they are started.

    Each pool of workers is to have one of its own: what a worker that is not quite dead still writes is then
    seen by nobody.

    Parameters
    ----------
    memory : ctypes array of bytes
        Shared with whom it was given to; as a file it has no name, so that nothing is left of it.
    sizes : InputSizes
    name : str
        The same in all processes that share it.
    """

    def __init__(self, memory: Array, sizes: InputSizes, name: str) -> None:
        self._memory = memory
        self._sizes = sizes
        self.name = name
        *begins, end = _begins(sizes)
        self._begins = dict(zip(_PICTURES, begins, strict=True))
        self._places = np.frombuffer(memory, np.uint8).reshape(-1, end)
        _boards[name] = self

    @classmethod
    def of(cls, places: int, sizes: InputSizes) -> Self:
        """A new one, for films made ready for inputs of these sizes."""
        return cls(RawArray("B", places * _begins(sizes)[-1]), sizes, uuid.uuid4().hex)

    def __reduce__(self) -> tuple:
        return Board, (self._memory, self._sizes, self.name)

    def put(self, film: PreparedFilm, place: int) -> "SharedFilm":
        """The film with its pictures at a place, which no other film has meanwhile.

        Parameters
        ----------
        film : PreparedFilm
            One that is on this board already stays as it is.
        place : int
        """
        if isinstance(film, SharedFilm) and film.board is self:
            return film
        fields = {field.name: getattr(film, field.name) for field in dataclasses.fields(PreparedFilm)}
        for name in _PICTURES:
            of_film = fields[name]
            fields[name] = self.picture(place, name, of_film.shape, of_film.dtype)
            fields[name][:] = of_film
        return SharedFilm(**fields, board=self, place=place)

    def picture(self, place: int, name: str, shape: tuple[int, ...], dtype: DTypeLike) -> np.ndarray:
        """What is at a place under the name of a field of `PreparedFilm`."""
        begin = self._begins[name]
        end = begin + math.prod(shape) * np.dtype(dtype).itemsize
        return self._places[place, begin:end].view(dtype).reshape(shape)


def _begins(sizes: InputSizes) -> list[int]:
    """Where the pictures begin at a place, and where the last one ends; bytes."""
    lungs, steps = LONGEST_SIDE**2, LONGEST_SIDE**2 + 4 * (sizes.lungs or 0) ** 2
    return [0, lungs, steps, steps + 4 * 3 * sizes.steps**2]


@dataclasses.dataclass(frozen=True)
class SharedFilm(PreparedFilm):
    """A prepared film whose pictures are on a board; pickled it says where."""

    board: Board = dataclasses.field(kw_only=True)
    place: int = dataclasses.field(kw_only=True)

    def __reduce__(self) -> tuple:
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(PreparedFilm)}
        pictures = {name: fields.pop(name) for name in _PICTURES}
        forms = {name: (picture.shape, picture.dtype.str) for name, picture in pictures.items()}
        return _found, (self.board.name, self.place, forms, fields)


def _found(
    board_name: str, place: int, forms: dict[str, tuple[tuple[int, ...], str]], fields: dict[str, object]
) -> SharedFilm:
    board = _boards[board_name]
    pictures = {name: board.picture(place, name, *form) for name, form in forms.items()}
    return SharedFilm(**pictures, **fields, board=board, place=place)
