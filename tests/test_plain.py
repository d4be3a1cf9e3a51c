"""model/plain.py: PNG and JPEG within the limits of films."""

import struct
import zlib
from io import BytesIO

import numpy as np
import pytest
from conftest import chest_pixels
from PIL import Image

from model.decode import UnreadableFilm
from model.plain import plain_film
from model.scope import OutOfScope, ScopeRules

GREY = (chest_pixels() >> 4).astype(np.uint8)


def encoded(image, kind="PNG", **options):
    file = BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "P"])
def test_a_grey_png_is_taken_in_every_mode(mode):
    film = plain_film(encoded(Image.fromarray(GREY).convert(mode)), ScopeRules())
    np.testing.assert_array_equal(film.display, GREY)
    assert (film.rows, film.columns, film.caption) == (600, 560, "560 × 600, PNG")


def test_sixteen_bits_are_spread_over_eight():
    film = plain_film(encoded(Image.fromarray(chest_pixels())), ScopeRules())
    assert (film.display.min(), film.display.max()) == (0, 255)
    assert np.corrcoef(film.display.ravel(), chest_pixels().ravel())[0, 1] > 0.9999


def test_a_jpeg_is_turned_as_it_says_and_reduced():
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise to show
    large = Image.fromarray(GREY).resize((1120, 1500))
    film = plain_film(encoded(large, "JPEG", exif=exif), ScopeRules())
    assert film.display.shape == (765, 1024)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (encoded(Image.fromarray(GREY).resize((200, 400))), "TOO_SMALL"),
        (encoded(Image.fromarray(np.stack([GREY, GREY // 2, GREY // 4], axis=-1))), "COLOUR"),
        (encoded(Image.new("L", (400, 400), 77)), "BLANK"),
        (
            encoded(Image.fromarray(GREY), save_all=True, append_images=[Image.fromarray(255 - GREY)]),
            "MULTI_FRAME",
        ),
    ],
)
def test_what_is_no_film_is_refused_by_its_rule(content, code):
    with pytest.raises(OutOfScope) as refused:
        plain_film(content, ScopeRules())
    assert refused.value.code == code


@pytest.mark.parametrize("side", [9000, 60000])
def test_a_picture_made_to_fill_the_memory_is_refused_before_it_is_decoded(side):
    def chunk(kind, content):
        return (
            struct.pack(">L", len(content)) + kind + content + struct.pack(">L", zlib.crc32(kind + content))
        )

    header = struct.pack(">LLBBBBB", side, side, 8, 0, 0, 0, 0)
    bomb = (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b""))
        + chunk(b"IEND", b"")
    )
    with pytest.raises(OutOfScope) as refused:
        plain_film(bomb, ScopeRules())
    assert refused.value.code == "TOO_LARGE"


@pytest.mark.parametrize(
    "content", [b"", b"GIF89a", encoded(Image.fromarray(GREY))[:5000], b"\xff\xd8\xff\xe0" + bytes(100)]
)
def test_what_is_broken_or_something_else_is_unreadable(content):
    with pytest.raises(UnreadableFilm, match="expected"):
        plain_film(content, ScopeRules())
