"""``make fuzz``: bytes that nobody has vouched for, guided by what they reach (libFuzzer by way of atheris).

``python tests/fuzz.py header|film SECONDS``; a crash is told with its bytes, and the exit code is not 0.
"""

import contextlib
import io
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["daemon", "model", "pydicom"]):
    from damaged import SYNTAXES, read_film, small_film

    from daemon.header import HeaderUnreadable, read_header

WANTED = [0x00080016, 0x00080018, 0x0020000D]


def header(data: bytes) -> None:
    """The receiver's reader of headers; its first byte chooses the transfer syntax."""
    syntax = SYNTAXES[data[0] % len(SYNTAXES)] if data else SYNTAXES[0]
    with contextlib.suppress(HeaderUnreadable):
        read_header(io.BytesIO(data[1:]), syntax, WANTED, 0x00210000)


def film(data: bytes) -> None:
    """What a decoder process does with a film."""
    read_film(data, Path(tempfile.gettempdir()) / "fuzz.dcm")


def main() -> None:
    """Fuzz one of the two, from whole films."""
    target, seconds = {"header": header, "film": film}[sys.argv[1]], sys.argv[2]
    with tempfile.TemporaryDirectory() as seeds:
        tempfile.tempdir = seeds
        corpus = Path(seeds) / "corpus"
        corpus.mkdir()
        for number, syntax in enumerate(SYNTAXES):
            (corpus / str(number)).write_bytes(small_film(syntax))
        limits = [f"-max_total_time={seconds}", "-rss_limit_mb=4096", "-artifact_prefix=build/"]
        atheris.Setup([sys.argv[0], str(corpus), *limits], target)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
