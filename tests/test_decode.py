"""Pixel Data that cannot be had is named, before anything large is allocated."""

import io

import damaged
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate, generate_fragments
from pydicom.uid import JPEG2000, MPEG2MPML, ExplicitVRLittleEndian, JPEGBaseline8Bit, RLELossless

from model.decode import UnreadableFilm, codestream_matrix, stored_values
from model.reader import prepare

END = b"\xff\xd9"


def reason(ds) -> str:
    with pytest.raises(UnreadableFilm) as unreadable:
        stored_values(ds)
    return str(unreadable.value)


def compressed(film, syntax: str, frame: bytes):
    ds = film()
    ds.PixelData = encapsulate([frame])
    ds["PixelData"].VR = "OB"
    ds["PixelData"].is_undefined_length = True
    ds.file_meta.TransferSyntaxUID = syntax
    return ds


def test_stored_values_are_the_pixels(film):
    ds = film()
    assert stored_values(ds).tobytes() == ds.PixelData


def test_a_film_without_pixel_data_is_unreadable(film):
    ds = film()
    del ds.PixelData
    assert reason(ds) == "found no Pixel Data, expected one frame"


def test_a_film_without_file_meta_is_unreadable(film):
    ds = film()
    ds.file_meta = FileMetaDataset()
    assert "no transfer syntax" in reason(ds)


def test_a_film_cut_short_is_unreadable(film):
    ds = film()
    ds.PixelData = ds.PixelData[:-100]
    assert "less than expected" in reason(ds)


def test_trailing_bytes_are_tolerated(film):
    ds = film()
    expected = stored_values(ds)
    ds.PixelData += b"\0\0"
    with pytest.warns(UserWarning, match="excess padding"):
        assert (stored_values(ds) == expected).all()


@pytest.mark.parametrize("bits", [1, 32, None])
def test_other_bits_than_8_or_16_are_unreadable(film, bits):
    assert "expected 8 or 16" in reason(film(BitsAllocated=bits))


def test_a_transfer_syntax_without_decoder_is_unreadable(film):
    assert "expected one that can be decoded" in reason(compressed(film, MPEG2MPML, b"\0" * 100))


@pytest.mark.parametrize("syntax", [JPEGBaseline8Bit, JPEG2000])
def test_a_frame_that_is_no_codestream_is_unreadable(film, syntax):
    assert "a compressed frame of no size" in reason(compressed(film, syntax, b"\0" * 100 + END))


def test_a_frame_that_declares_a_hostile_size_is_refused_before_decoding(film):
    hostile = b"\xff\xd8\xff\xc0\x00\x0b\x08\xff\xff\xff\xff\x01\x01\x11\x00" + b"\0" * 50 + END
    assert "frame of (65535, 65535), expected (600, 560)" in reason(
        compressed(film, JPEGBaseline8Bit, hostile)
    )


def test_run_lengths_too_few_for_the_matrix_are_refused_before_decoding(film):
    assert "run lengths for" in reason(compressed(film, RLELossless, b"\0" * 64))


@pytest.mark.parametrize("name", ["RG1_J2KR.dcm", "RG1_J2KI.dcm"])
def test_the_codestream_declares_the_headers_matrix(name):
    ds = dcmread(get_testdata_file(name, download=False, read=False))
    assert codestream_matrix(ds.PixelData) == (ds.Rows, ds.Columns)


@pytest.mark.parametrize("name", ["RG1_J2KR.dcm", "RG1_J2KI.dcm"])
def test_a_compressed_frame_cut_short_is_unreadable(name):
    ds = dcmread(get_testdata_file(name, download=False, read=False))
    frame = b"".join(list(generate_fragments(ds.PixelData))[1:])
    ds.PixelData = encapsulate([frame[: len(frame) // 2]])
    assert reason(ds) == "found a compressed frame without its end, expected a whole one"


def test_fragments_cut_short_are_unreadable():
    ds = dcmread(get_testdata_file("RG1_J2KI.dcm", download=False, read=False))
    ds.PixelData = ds.PixelData[:40]
    assert "found" in reason(ds)


@pytest.fixture(scope="module", params=damaged.SYNTAXES, ids=lambda syntax: syntax.name)
def whole(request):
    return damaged.small_film(request.param)


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, RLELossless])
def test_pixel_data_of_an_unknown_value_representation_are_unreadable(syntax):
    data = damaged.small_film(syntax)
    place = data.index(b"\xe0\x7f\x10\x00") + 4
    with pytest.raises(UnreadableFilm, match="found"):
        prepare(io.BytesIO(data[:place] + b"O\x00" + data[place + 2 :]), damaged.RULES, damaged.SIZES)


@settings(max_examples=150, deadline=None)
@given(
    changes=st.lists(st.tuples(st.floats(0, 1), st.binary(min_size=1, max_size=8)), max_size=4),
    cut=st.floats(0, 1),
)
def test_a_damaged_film_is_read_or_refused_and_nothing_else_happens(whole, tmp_path_factory, changes, cut):
    data = bytearray(whole if cut > 0.5 else whole[: int(2 * cut * len(whole))])
    for place, new in changes:
        start = int(place * len(data))
        data[start : start + len(new)] = new
    damaged.read_film(bytes(data), tmp_path_factory.getbasetemp() / "damaged.dcm")
