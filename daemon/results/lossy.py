"""What was lost: JPEG Baseline for pictures, and the record of every lossy step (DICOM PS3.3 C.7.6.1.1.5)."""

from io import BytesIO

import numpy as np
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import JPEGBaseline8Bit

from model.header import as_list, text, value

LOSSY = ("LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod")
QUALITY = 90  # text and lines of one pixel are still read, at a fifteenth of the size


def compress(ds: Dataset, drawn: np.ndarray, film: Dataset) -> None:
    """Put a picture into an instance as JPEG Baseline with colour at full resolution.

    Parameters
    ----------
    ds : Dataset
        With file meta; its pixels, their encoding and the record of what was lost are replaced.
    drawn : (rows, columns, 3) uint8
        RGB.
    film : Dataset
        Header of the film, whose own lossy steps stand first in the record.

    References
    ----------
    DICOM PS3.5 8.2.1 and A.4.1; PS3.3 C.7.6.3.1.2 and C.7.6.1.1.5.
    """
    stream = BytesIO()
    Image.fromarray(drawn).save(stream, "JPEG", quality=QUALITY, subsampling="4:4:4")
    frame = stream.getvalue()
    ds.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    ds.PixelData = encapsulate([frame])
    ds["PixelData"].VR = "OB"
    ds["PixelData"].is_undefined_length = True
    # The only value for colour in this syntax (PS3.5 table 8.2.1-1); the stream itself tells its sampling.
    ds.PhotometricInterpretation = "YBR_FULL_422"
    ratios, methods = _steps_of(film)
    ds.LossyImageCompression = "01"
    ds.LossyImageCompressionRatio = [*ratios, f"{drawn.size / len(frame):.2f}"]
    ds.LossyImageCompressionMethod = [*methods, "ISO_10918_1"]


def _steps_of(film: Dataset) -> tuple[list[str], list[str]]:
    """Ratio and method of the lossy steps that the film records; none where the two do not fit together."""
    if text(film, "LossyImageCompression") != "01":
        return [], []
    ratios, methods = ([str(entry) for entry in as_list(value(film, keyword))] for keyword in LOSSY[1:])
    return (ratios, methods) if len(ratios) == len(methods) else ([], [])
