"""Results into a PACS by STOW-RS, one object a request (PS3.18 10.5)."""

import base64
import json
import uuid
from collections.abc import Collection
from pathlib import Path
from typing import Any

from daemon import peer, service
from daemon.config import DicomwebDestination
from daemon.http_connection import LATER, Answer, HttpConnection
from daemon.outcomes import Accepted, NotTaken, PeerRefused, PeerUnavailable
from storage.deliveries import Delivery

# What is wrong with these is who or where we ask, and not the object: it ends when an admin acts.
NOT_OF_THE_OBJECT = (401, 403, 404, 405, 407)
# All stored, some, none (PS3.18 table 10.5.3-1); Orthanc answers none with 400.
JUDGED = (200, 202, 400, 409)
_JSON = "application/dicom+json"
# Attributes of the Store Instances Response Module (PS3.18 I.2), as the DICOM JSON model names them.
_FAILED_SOP_SEQUENCE, _OTHER_FAILURES_SEQUENCE, _REFERENCED_SOP_SEQUENCE = "00081198", "0008119A", "00081199"
_REFERENCED_SOP_INSTANCE_UID, _WARNING_REASON, _FAILURE_REASON = "00081155", "00081196", "00081197"


class _Channel:
    """A connection to the studies of a PACS."""

    def __init__(self, to: DicomwebDestination) -> None:
        self._headers = {"Accept": _JSON} | _authorization(to)
        self._http = HttpConnection(to.name, to.url.rstrip("/"), to.ca_file)

    def send(self, one: Delivery, path: Path) -> Accepted:
        boundary = uuid.uuid4().hex
        body = b"".join((
            f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode(),
            path.read_bytes(),
            f"\r\n--{boundary}--\r\n".encode(),
        ))  # fmt: skip
        kind = f'multipart/related; type="application/dicom"; boundary={boundary}'
        answer = self._http.exchange("POST", "/studies", self._headers | {"Content-Type": kind}, body)
        return judge(answer, one.sop_instance_uid)

    def search(self) -> Answer:
        """One study, whichever (QIDO-RS, PS3.18 10.6)."""
        return self._http.exchange("GET", "/studies?limit=1", self._headers)

    def serves(self, _sop_class_uids: Collection[str]) -> bool:
        return False  # credentials are read anew for each batch

    def close(self) -> None:
        self._http.close()


def open_channel(to: DicomwebDestination) -> _Channel:
    """A connection for STOW-RS; `daemon.channels` says the rest."""
    return _Channel(to)


def check(to: DicomwebDestination) -> str:
    """Search for a study: URL and credentials are those that storing needs."""
    channel = open_channel(to)
    try:
        answer = channel.search()
    finally:
        channel.close()
    if answer.status not in (200, 204):
        raise PeerUnavailable(f"{to.url} answers a search with {answer}")
    return f"{to.url} answers a search (QIDO-RS)"


def judge(answer: Answer, sop_instance_uid: str) -> Accepted:
    """What the response to one object means (PS3.18 10.5.3 and I.2).

    Parameters
    ----------
    answer : Answer
    sop_instance_uid : str
        Of the object that was sent.

    Returns
    -------
    Accepted
        With status 0x0000, or the Warning Reason.

    Raises
    ------
    PeerRefused
        With the Failure Reason as status; or for a 4xx that says nothing of the object, without one.
    NotTaken
        If the Failure Reason is A7xx (not A777), or the object is not named in the response, and for
        every other status code: success without a word on the object may be any web page's.
    """
    if answer.status in JUDGED:
        try:
            return _by_instance(json.loads(answer.body), sop_instance_uid)
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            said = f"{answer} and no word on the object in {_JSON}"
    elif answer.status in NOT_OF_THE_OBJECT:
        raise NotTaken(f"{answer}: is url that of a DICOMweb service, and are the credentials in force?")
    else:
        said = str(answer)
    is_refusal = 400 <= answer.status < 500 and answer.status not in LATER
    raise PeerRefused(said) if is_refusal else NotTaken(said)


def _by_instance(response: dict[str, Any], sop_instance_uid: str) -> Accepted:
    # One object was sent, so that every failure is its failure, also one without a UID.
    for sequence in (_FAILED_SOP_SEQUENCE, _OTHER_FAILURES_SEQUENCE):
        for item in response.get(sequence, {}).get("Value", ()):
            reason = int(_value(item, _FAILURE_REASON))
            raise peer.refusal(reason, f"failure reason 0x{reason:04X}")
    for item in response[_REFERENCED_SOP_SEQUENCE]["Value"]:
        if _value(item, _REFERENCED_SOP_INSTANCE_UID) == sop_instance_uid:
            if _WARNING_REASON not in item:
                return Accepted(0x0000, "")
            reason = int(_value(item, _WARNING_REASON))
            return Accepted(reason, f"warning, reason 0x{reason:04X}")
    raise LookupError(sop_instance_uid)


def _value(item: dict[str, Any], attribute: str) -> Any:
    return item[attribute]["Value"][0]


def _authorization(to: DicomwebDestination) -> dict[str, str]:
    """Bearer (RFC 6750) or Basic (RFC 7617) credentials, read anew for each connection."""
    table = f"[[destination]] {to.name}"
    try:
        if to.token_file:
            token = service.read_secret(f"{table} token_file", to.token_file)
            if not token.isascii() or " " in token:
                raise service.SecretUnusable(f"{table} token_file {to.token_file}: expected a bearer token")
            return {"Authorization": f"Bearer {token}"}
        if to.user:
            password = service.read_secret(f"{table} password_file", to.password_file)
            pair = base64.b64encode(f"{to.user}:{password}".encode()).decode("ascii")
            return {"Authorization": f"Basic {pair}"}
    except service.SecretUnusable as error:
        raise PeerUnavailable(str(error)) from error
    return {}
