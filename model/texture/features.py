"""The names of texture: every feature by family, name, IBSI code and meaning, in one table.

Codes are the permanent identifiers of the IBSI reference manual. Meanings are those of DICOM PS3.16 (CID
7467, 7475, 7476, 7478 and 7500) where it has the code; it has none of the statistics of intensity, which are
named as those of the histogram. Local binary patterns are no features of IBSI and have no code.
"""

from collections.abc import Mapping
from typing import NamedTuple

# By place, right, left or region, the features that have a value there, by `Feature.key`.
Textures = Mapping[str, Mapping[str, float]]


class Feature(NamedTuple):
    """A figure of a region.

    Parameters
    ----------
    family : str
        statistics, histogram, glcm, glrlm, glszm, ngtdm or lbp.
    name : str
        IBSI's, in lower case with underscores.
    code : str
        IBSI's permanent identifier; empty where it has none.
    meaning : str
        At most 64 characters.
    """

    family: str
    name: str
    code: str
    meaning: str

    @property
    def key(self) -> str:
        """Family and name, as columns begin."""
        return f"{self.family}_{self.name}"


_DISTRIBUTION = (
    ("mean", "Q4LE", "X6K6", "Mean"),
    ("variance", "ECT3", "CH89", "Variance"),
    ("skewness", "KE2A", "88K1", "Skewness"),
    ("kurtosis", "IPH6", "C3I7", "Kurtosis"),
    ("median", "Y12H", "WIFQ", "Median"),
    ("minimum", "1GSF", "1PR8", "Minimum Gray Level"),
    ("10th_percentile", "QG58", "GPMT", "10th Percentile"),
    ("90th_percentile", "8DWT", "OZ0C", "90th Percentile"),
    ("maximum", "84IY", "3NCY", "Maximum Gray Level"),
    ("interquartile_range", "SALO", "WR0O", "Interquartile Range"),
    ("range", "2OJQ", "5Z3W", "Range"),
    ("mean_absolute_deviation", "4FUA", "D2ZX", "Mean Absolute Deviation"),
    ("robust_mean_absolute_deviation", "1128", "WRZB", "Robust Mean Absolute Deviation"),
    ("median_absolute_deviation", "N72L", "4RNL", "Median Absolute Deviation"),
    ("coefficient_of_variation", "7TET", "CWYJ", "Coefficient of Variation"),
    ("quartile_coefficient_of_dispersion", "9S40", "SLWD", "Quartile Coefficient of Dispersion"),
)
_FAMILIES = {
    "statistics": (
        *((name, code, f"Intensity {meaning}") for name, code, _, meaning in _DISTRIBUTION),
        ("energy", "N8CA", "Intensity Energy"),
        ("root_mean_square", "5ZWQ", "Root Mean Square Intensity"),
    ),
    "histogram": (
        *((name, code, f"Intensity Histogram {meaning}") for name, _, code, meaning in _DISTRIBUTION),
        ("mode", "AMMC", "Intensity Histogram Mode"),
        ("entropy", "TLU2", "Intensity Histogram Entropy"),
        ("uniformity", "BJ5W", "Intensity Histogram Uniformity"),
        ("maximum_gradient", "12CE", "Intensity Histogram Maximum Gradient"),
        ("maximum_gradient_level", "8E6O", "Intensity Histogram Maximum Gradient Gray Level"),
        ("minimum_gradient", "VQB3", "Intensity Histogram Minimum Gradient"),
        ("minimum_gradient_level", "RHQZ", "Intensity Histogram Minimum Gradient Gray Level"),
    ),
    "glcm": (
        ("joint_maximum", "GYBY", "Joint Maximum of GLCM"),
        ("joint_average", "60VM", "Joint Average of GLCM"),
        ("joint_variance", "UR99", "Joint Variance of GLCM"),
        ("joint_entropy", "TU9B", "Joint Entropy of GLCM"),
        ("difference_average", "TF7R", "Difference Average of GLCM"),
        ("difference_variance", "D3YU", "Difference Variance of GLCM"),
        ("difference_entropy", "NTRS", "Difference Entropy of GLCM"),
        ("sum_average", "ZGXS", "Sum Average of GLCM"),
        ("sum_variance", "OEEB", "Sum Variance of GLCM"),
        ("sum_entropy", "P6QZ", "Sum Entropy of GLCM"),
        ("angular_second_moment", "8ZQL", "Angular Second Moment of GLCM"),
        ("contrast", "ACUI", "Contrast of GLCM"),
        ("dissimilarity", "8S9J", "Dissimilarity of GLCM"),
        ("inverse_difference", "IB1Z", "Inverse Difference of GLCM"),
        ("normalised_inverse_difference", "NDRX", "Normalized Inverse Difference of GLCM"),
        ("inverse_difference_moment", "WF0Z", "Inverse Difference Moment of GLCM"),
        ("normalised_inverse_difference_moment", "1QCO", "Normalized Inverse Difference Moment of GLCM"),
        ("inverse_variance", "E8JP", "Inverse Variance of GLCM"),
        ("correlation", "NI2N", "Correlation of GLCM"),
        ("autocorrelation", "QWB0", "Autocorrelation of GLCM"),
        ("cluster_tendency", "DG8W", "Cluster Tendency of GLCM"),
        ("cluster_shade", "7NFM", "Cluster Shade of GLCM"),
        ("cluster_prominence", "AE86", "Cluster Prominence of GLCM"),
        ("information_correlation_1", "R8DG", "First Measure of Information Correlation of GLCM"),
        ("information_correlation_2", "JN9H", "Second Measure of Information Correlation of GLCM"),
    ),
    "glrlm": (
        ("short_runs_emphasis", "22OV", "Short Runs Emphasis"),
        ("long_runs_emphasis", "W4KF", "Long Runs Emphasis"),
        ("low_grey_level_run_emphasis", "V3SW", "Low Gray Level Run Emphasis"),
        ("high_grey_level_run_emphasis", "G3QZ", "High Gray Level Run Emphasis"),
        ("short_run_low_grey_level_emphasis", "HTZT", "Short Run Low Gray Level Emphasis"),
        ("short_run_high_grey_level_emphasis", "GD3A", "Short Run High Gray Level Emphasis"),
        ("long_run_low_grey_level_emphasis", "IVPO", "Long Run Low Gray Level Emphasis"),
        ("long_run_high_grey_level_emphasis", "3KUM", "Long Run High Gray Level Emphasis"),
        ("grey_level_non_uniformity", "R5YN", "Gray Level Nonuniformity in Runs"),
        ("normalised_grey_level_non_uniformity", "OVBL", "Normalized Gray Level Nonuniformity in Runs"),
        ("run_length_non_uniformity", "W92Y", "Run Length Nonuniformity"),
        ("normalised_run_length_non_uniformity", "IC23", "Normalized Run Length Nonuniformity"),
        ("run_percentage", "9ZK5", "Run Percentage"),
        ("grey_level_variance", "8CE5", "Gray Level Variance in Runs"),
        ("run_length_variance", "SXLW", "Run Length Variance"),
        ("run_entropy", "HJ9O", "Run Entropy"),
    ),
    "glszm": (
        ("small_zone_emphasis", "5QRC", "Small Zone Emphasis"),
        ("large_zone_emphasis", "48P8", "Large Zone Emphasis"),
        ("low_grey_level_zone_emphasis", "XMSY", "Low Gray Level Zone Emphasis"),
        ("high_grey_level_zone_emphasis", "5GN9", "High Gray Level Zone Emphasis"),
        ("small_zone_low_grey_level_emphasis", "5RAI", "Small Zone Low Gray Level Emphasis"),
        ("small_zone_high_grey_level_emphasis", "HW1V", "Small Zone High Gray Level Emphasis"),
        ("large_zone_low_grey_level_emphasis", "YH51", "Large Zone Low Gray Level Emphasis"),
        ("large_zone_high_grey_level_emphasis", "J17V", "Large Zone High Gray Level Emphasis"),
        ("grey_level_non_uniformity", "JNSA", "Gray Level Nonuniformity of Size Zone Counts"),
        (
            "normalised_grey_level_non_uniformity",
            "Y1RO",
            "Normalized Gray Level Nonuniformity of Size Zone Counts",
        ),
        ("zone_size_non_uniformity", "4JP3", "Zone Size Nonuniformity"),
        ("normalised_zone_size_non_uniformity", "VB3A", "Normalized Zone Size Nonuniformity"),
        ("zone_percentage", "P30P", "Size Zone Percentage"),
        ("grey_level_variance", "BYLV", "Gray Level Variance in Size Zones"),
        ("zone_size_variance", "3NSA", "Zone Size Variance"),
        ("zone_size_entropy", "GU8N", "Zone Size Entropy"),
    ),
    "ngtdm": (
        ("coarseness", "QCDE", "Coarseness of NGTDM"),
        ("contrast", "65HE", "Contrast of NGTDM"),
        ("busyness", "NQ30", "Busyness of NGTDM"),
        ("complexity", "HDEZ", "Complexity of NGTDM"),
        ("strength", "1X9X", "Strength of NGTDM"),
    ),
    "lbp": (
        *((f"uniform_{ones}", "", f"Local binary patterns, uniform, {ones} of 8") for ones in range(9)),
        ("not_uniform", "", "Local binary patterns, not uniform"),
    ),
}  # fmt: skip
FEATURES = tuple(Feature(family, *of) for family, features in _FAMILIES.items() for of in features)


def names(family: str) -> tuple[str, ...]:
    """Names of a family's features, in the table's order."""
    return tuple(name for name, *_ in _FAMILIES[family])
