"""A report as one file of HTML that needs nothing else, and as a PDF of the same."""

import base64
import re
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path

import font_roboto
import jinja2
from fontTools import subset
from fontTools.ttLib import TTFont
from markupsafe import Markup, escape
from PIL import ImageFile
from weasyprint import HTML

from model.study.report_parts import Cell, Section, numbered

# WeasyPrint lets Pillow fill up what is missing of a picture, everywhere: a film cut short would be judged.
ImageFile.LOAD_TRUNCATED_IMAGES = False

WARNING = "Research use only. Not for clinical use."
# Weight and style of each face that the style sheet asks for.
_FACES = {"Roboto": (400, "normal"), "RobotoBold": (700, "normal")}
_REFERENCE = re.compile(r"\[\[([\w-]+)\]\]")
_TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).with_name("templates")),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def page(
    heading: str, subject: str, caution: str, facts: Sequence[tuple[str, str]], sections: Sequence[Section]
) -> str:
    """A report as HTML; fonts and pictures lie within it.

    Parameters
    ----------
    heading, subject, caution : str
        Title, what it is about, and what the warning of the title page goes on with.
    facts : sequence of (str, str)
        Lines of the title page.
    sections : sequence of Section

    Returns
    -------
    str

    Raises
    ------
    KeyError
        If a text refers to a part that is not there.
    """
    names = numbered(sections)
    environment = _TEMPLATES.overlay()
    environment.filters = _TEMPLATES.filters | {
        "cell": lambda cell: _cell(cell, names),
        "linked": lambda text: _linked(text, names),
    }
    template = environment.get_template("report.html")
    values = {
        "heading": heading, "subject": subject, "caution": caution, "facts": facts, "sections": sections,
        "names": names, "warning": WARNING,
    }  # fmt: skip
    letters = set(re.sub(r"data:[^\"]*", "", template.render(faces=(), **values)))
    return template.render(faces=[_face(name, letters) for name in _FACES], **values)


def pdf(html: str) -> bytes:
    """The same as PDF, tagged for readers that speak (PDF/UA-1)."""
    return HTML(string=html).write_pdf(pdf_variant="pdf/ua-1")


def _linked(text: str, names: Mapping[str, str]) -> Markup:
    """A text whose references, ``[[key]]``, are links that bear the part's name."""
    pieces = _REFERENCE.split(text)
    return Markup().join(
        Markup('<a href="#{}">{}</a>').format(piece, names[piece]) if place % 2 else escape(piece)
        for place, piece in enumerate(pieces)
    )


def _cell(cell: str | Cell, names: Mapping[str, str]) -> Markup | str:
    if isinstance(cell, str):
        return _linked(cell, names)
    return Markup("{} <small>{}</small>").format(cell.text, cell.below) if cell.below else cell.text


def _face(name: str, letters: set[str]) -> dict:
    """A face with no more letters than the report has: a whole one is 170 kB."""
    font = TTFont(font_roboto.font_files[name])
    options = subset.Options(flavor="woff2", notdef_outline=True, hinting=False)
    cut = subset.Subsetter(options)
    cut.populate(text="".join(letters) + " ./0123456789")
    cut.subset(font)
    font.flavor = "woff2"
    written = BytesIO()
    font.save(written)
    weight, style = _FACES[name]
    uri = f"data:font/woff2;base64,{base64.b64encode(written.getvalue()).decode()}"
    return {"weight": weight, "style": style, "uri": uri}
