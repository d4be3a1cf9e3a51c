"""A terminal of a test: a real pseudo-terminal of some size, and what a program wrote to it."""

import contextlib
import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time
from collections.abc import Iterator


class Terminal:
    """The end of a pseudo-terminal at which a person would sit."""

    def __init__(self, process: subprocess.Popen, end: int) -> None:
        self.process = process
        self.written = b""
        self._end = end

    def type(self, keys: bytes) -> None:
        """Press keys."""
        os.write(self._end, keys)

    def read_until(self, wanted: str, seconds: float = 60.0) -> str:
        """All that was written, once `wanted` is in it; an empty one waits for the program's end."""
        limit = time.monotonic() + seconds
        while not wanted or wanted not in self.written.decode(errors="replace"):
            if not select.select([self._end], [], [], max(0.0, limit - time.monotonic()))[0]:
                raise TimeoutError(f"{wanted!r} not written within {seconds} s: {self.written!r}")
            try:
                self.written += os.read(self._end, 1 << 16)
            except OSError:  # Linux says so that nobody has the other end open any more
                break
        return self.written.decode(errors="replace")


@contextlib.contextmanager
def running(command: list[str], columns: int = 120, rows: int = 40, **environment: str) -> Iterator[Terminal]:
    """A program on a terminal in colour; killed afterwards if it has not ended."""
    end, of_program = pty.openpty()
    fcntl.ioctl(of_program, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    settings = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "COLUMNS")}
    process = subprocess.Popen(
        command, stdin=of_program, stdout=of_program, stderr=of_program, start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509 - so that Ctrl-C is a signal
        env=settings | {"TERM": "xterm-256color"} | environment,
    )  # fmt: skip
    os.close(of_program)
    try:
        yield Terminal(process, end)
    finally:
        process.kill()
        process.wait()
        os.close(end)
