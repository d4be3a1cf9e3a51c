"""The table of scores: its columns, a film's row, and rows as a file in Parquet."""

import io
import itertools
import re
from collections.abc import Mapping, Sequence

import pyarrow as pa
from pyarrow import parquet

from daemon.archive.film import TEXTS, UIDS, Decoded, Refused
from model.cascade import Cascade
from model.findings import ModelVersion, Reading
from model.texture.features import FEATURES, Textures
from model.texture.regions import PLACES
from storage.states import FilmState

MOST_CHARACTERS = 1000  # of a text that a header gives


def score_column(label: str) -> str:
    """Column of a label's score."""
    return "score_" + re.sub(r"\W+", "_", label.lower())


def texture_column(place: str, feature: str) -> str:
    """Column of a feature (`Feature.key`) of one lung or of the main region."""
    return f"{feature}_{place}"


_OFTEN_THE_SAME = pa.dictionary(pa.int32(), pa.string())


def schema(cascade: Cascade, texture: bool) -> pa.Schema:
    """The columns of scores of a version that can say `cascade`, with texture or without.

    Texture is of double precision: a zone's squared size is beyond the whole numbers that single precision
    tells apart.
    """
    features = itertools.product(PLACES, FEATURES) if texture else ()
    return pa.schema(
        [
            ("film", pa.string()),
            ("size_bytes", pa.int64()),
            *((column, pa.string()) for column in UIDS),
            *((column, _OFTEN_THE_SAME) for column in TEXTS),
            ("state", _OFTEN_THE_SAME),
            ("reason_code", _OFTEN_THE_SAME),
            ("reason", pa.string()),
            ("decision", _OFTEN_THE_SAME),
            *((score_column(label), pa.float32()) for label in cascade.labels(1) + cascade.labels(2)),
            ("inside_lungs", pa.float32()),
            ("warnings", pa.list_(pa.string())),
            ("model", _OFTEN_THE_SAME),
            ("model_version", _OFTEN_THE_SAME),
            ("lungs_model", _OFTEN_THE_SAME),
            ("weights_sha256", _OFTEN_THE_SAME),
            *((texture_column(place, feature.key), pa.float64()) for place, feature in features),
        ]
    )


def row(
    decoded: Decoded, answer: Reading | Refused, textures: Textures, model: ModelVersion
) -> dict[str, object]:
    """The row of a film; columns that are left out have no value.

    Parameters
    ----------
    decoded : Decoded
    answer : Reading or Refused
    textures : mapping of str to mapping of str to float
        What `model.texture.regions.textures` gives; empty where it was not asked.
    model : ModelVersion
    """
    made = decoded.row | {
        "model": model.name,
        "model_version": model.version,
        "lungs_model": model.lungs,
        "weights_sha256": model.weights_sha256,
    }
    if isinstance(answer, Refused):
        made |= {"state": answer.state, "reason_code": answer.code, "reason": answer.reason}
    else:
        steps = [answer.step1] + ([answer.step2] if answer.step2 else [])
        made |= {
            score_column(label): score
            for step in steps
            for label, score in zip(step.labels, step.scores, strict=True)
        }
        made |= {
            texture_column(place, feature): figure
            for place, features in textures.items()
            for feature, figure in features.items()
        }
        made |= {"state": FilmState.READ, "decision": answer.decision, "warnings": list(answer.warnings)}
        made["inside_lungs"] = answer.inside and answer.inside.both
    return {key: value[:MOST_CHARACTERS] if isinstance(value, str) else value for key, value in made.items()}


def as_parquet(rows: Sequence[Mapping[str, object]], columns: pa.Schema) -> bytes:
    """Rows as a whole file; the same rows make the same bytes."""
    file = io.BytesIO()
    table = pa.Table.from_pylist(list(rows), columns)
    parquet.write_table(table, file, compression="zstd", row_group_size=len(rows))
    return file.getvalue()
