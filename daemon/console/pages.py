"""Pages from templates; each knows who asks and what is wrong with the node."""

from pathlib import Path
from typing import Any

import jinja2
from fastapi import Request
from fastapi.responses import HTMLResponse

from daemon.console import banner
from daemon.console.access import User

_TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).with_name("templates")),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def page(request: Request, user: User | None, template: str, **values: Any) -> HTMLResponse:
    """A whole page.

    Parameters
    ----------
    user : User or None
        Shown in the bar; templates leave out what the role may not do. None for who has not logged in, who is
        told nothing of the node.
    template : str
        File in ``templates`` that extends ``base.html``.
    values
        For the template.
    """
    worst = banner.worst(request.app.state.engine) if user is not None else None
    return HTMLResponse(
        _TEMPLATES.get_template(template).render(request=request, user=user, banner=worst, **values)
    )


def part(template: str, **values: Any) -> str:
    """A piece of a page, as the event stream sends it."""
    return _TEMPLATES.get_template(template).render(**values)
