"""Has highdicom read what it else reads at first use: half a second of each worker, and its own memory."""

import numpy as np
from highdicom import sr
from pydicom.uid import ComputedRadiographyImageStorage

sr.ImageRegion(
    sr.GraphicTypeValues.POLYLINE,
    np.zeros((2, 2)),
    sr.SourceImageForRegion(ComputedRadiographyImageStorage, "2.25.1"),
)
