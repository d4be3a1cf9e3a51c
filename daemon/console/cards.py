"""Cards of the model versions that ship with the node: how they were made, judged, and where they fail."""

from typing import Annotated

from fastapi import APIRouter, HTTPException, Path, Request
from fastapi.responses import FileResponse, HTMLResponse
from markdown_it import MarkdownIt

from daemon.console.access import Viewer
from daemon.console.pages import page
from model.weights import VERSIONS, available

router = APIRouter(include_in_schema=False)
# No HTML passes through, and no link but to a page: a card is text.
_MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable("table")
# Wide tables scroll on their own, and so need the focus that keys scroll them by.
_MARKDOWN.add_render_rule("table_open", lambda *_: '<table tabindex="0">\n')
Picture = Annotated[str, Path(pattern=r"^[a-z0-9-]+\.png$")]


@router.get("/models/{name}/card", response_class=HTMLResponse)
def card(request: Request, name: str, user: Viewer) -> HTMLResponse:
    """The card of a version."""
    text = (VERSIONS / _known(name) / "card.md").read_text(encoding="utf-8")
    return page(request, user, "card.html", name=name, card=_MARKDOWN.render(text))


@router.get("/models/{name}/card/{picture}", response_class=FileResponse)
def card_picture(name: str, picture: Picture, user: Viewer) -> FileResponse:
    """A picture of a card."""
    path = VERSIONS / _known(name) / "card" / picture
    if not path.is_file():
        raise HTTPException(404, f"no picture {picture} in the card of {name}")
    return FileResponse(path, media_type="image/png")


def _known(name: str) -> str:
    if name not in available():
        raise HTTPException(404, f"no model version {name[:64]!r}, expected one of {', '.join(available())}")
    return name
