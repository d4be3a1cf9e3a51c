"""Types of the config's values that more than one table has."""

import contextlib
import datetime
import ipaddress
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field
from pydicom.config import IGNORE
from pydicom.uid import UID, UID_dictionary

from model.scope import REFUSALS


def _sop_class_uid(name: str) -> str:
    """UID of a SOP class given by its keyword or UID."""
    if name in _KEYWORDS:
        return _KEYWORDS[name]
    if UID(name, validation_mode=IGNORE).is_valid:
        return name
    raise ValueError(f"{name!r}, expected the keyword of a SOP class of PS3.6 table A-1 or a UID")


def _reportable(code: str) -> str:
    """Code of a refusal that a report may be made on."""
    if code in _REPORTABLE:
        return code
    raise ValueError(f"{code!r}, expected one of {', '.join(_REPORTABLE)}")


def _http_url(url: str) -> str:
    """URL of a service."""
    # urlsplit lets blanks and control characters through or drops them.
    if url.isascii() and url.isprintable() and " " not in url:
        parts = urlsplit(url)
        is_whole = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        if is_whole and "@" not in parts.netloc and not parts.query and not parts.fragment:
            return url
    raise ValueError(
        "expected http:// or https://, a host and a path, without user, password, query or blank"
    )


def _day(text: str) -> str:
    """A day, or none."""
    if text:
        datetime.date.fromisoformat(text)
    return text


def _network(addresses: str) -> str:
    """An address, or a network of them."""
    try:
        ipaddress.ip_network(addresses)
    except ValueError as error:
        raise ValueError(f"{error}; expected an address, or a network such as 10.0.0.0/24") from None
    return addresses


def _clock(text: str) -> str:
    """A time of the day."""
    with contextlib.suppress(ValueError):
        if datetime.time.fromisoformat(text).strftime("%H:%M") == text:
            return text
    raise ValueError("expected a time of the day as 20:00")


# A report on our own result would be answered in turn, for ever; the others leave no picture to report on.
_REPORTABLE = [code for code in REFUSALS if code not in ("OWN_OUTPUT", "SOP_CLASS", "MATRIX")]
_KEYWORDS = {entry[4]: uid for uid, entry in UID_dictionary.items() if entry[1] == "SOP Class" and entry[4]}

AeTitle = Annotated[str, Field(pattern=r"^[!-\[\]-~]([ -\[\]-~]{0,14}[!-\[\]-~])?$")]
Port = Annotated[int, Field(ge=1, le=65535)]
# The upper bounds keep infinity, and what no timer takes, out of the node's clocks.
Seconds = Annotated[float, Field(gt=0, le=86400, allow_inf_nan=False)]
Hours = Annotated[float, Field(gt=0, le=8784, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]
SopClassUid = Annotated[str, AfterValidator(_sop_class_uid)]
Reportable = Annotated[str, AfterValidator(_reportable)]
Clock = Annotated[str, AfterValidator(_clock)]
HttpUrl = Annotated[str, AfterValidator(_http_url)]
Day = Annotated[str, AfterValidator(_day)]
Network = Annotated[str, AfterValidator(_network)]
HeaderName = Annotated[str, Field(pattern=r"^[A-Za-z0-9-]*$")]
