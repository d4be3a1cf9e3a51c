"""Readings to a program of the site, as JSON that it can tell is ours.

Signed as the Standard Webhooks specification 1.0 says, for which receivers find libraries: the headers
``webhook-id``, ``webhook-timestamp`` (seconds since 1970, of this attempt) and ``webhook-signature``, which
is ``v1,`` and the base64 of HMAC-SHA-256 over ``ID.TIMESTAMP.BODY``.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Collection
from pathlib import Path

from daemon import service
from daemon.config import WebhookDestination
from daemon.http_connection import LATER, HttpConnection
from daemon.outcomes import Accepted, NotTaken, PeerRefused, PeerUnavailable
from storage.deliveries import Delivery

# A receiver takes no timestamp that is further from its clock than this.
REPLAY_WINDOW_SECONDS = 300
SECRET_PREFIX = "whsec_"  # noqa: S105 - says what kind of secret follows
LEAST_SECRET_BYTES, MOST_SECRET_BYTES = 24, 64


class _Channel:
    """A connection to a receiver."""

    def __init__(self, to: WebhookDestination) -> None:
        self._secret = _secret(to)
        self._http = HttpConnection(to.name, to.url, to.ca_file)

    def send(self, one: Delivery, path: Path) -> Accepted:
        body, timestamp = path.read_bytes(), int(service.now().timestamp())
        headers = {
            "Content-Type": "application/json",
            "webhook-id": one.sop_instance_uid,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": sign(self._secret, one.sop_instance_uid, timestamp, body),
        }
        answer = self._http.exchange("POST", "", headers, body)
        if 200 <= answer.status < 300:
            return Accepted(None, "")
        if 400 <= answer.status < 500 and answer.status not in LATER:
            raise PeerRefused(str(answer))
        raise NotTaken(str(answer))

    def serves(self, _sop_class_uids: Collection[str]) -> bool:
        return False  # the secret is read anew for each batch

    def close(self) -> None:
        self._http.close()


def open_channel(to: WebhookDestination) -> _Channel:
    """A connection to a receiver; `daemon.channels` says the rest."""
    return _Channel(to)


def check(to: WebhookDestination) -> str:
    """Connect, and look at the secret; a receiver has nothing that could be asked."""
    open_channel(to).close()
    return f"{to.url} takes connections"


def sign(secret: bytes, identifier: str, timestamp: int, body: bytes) -> str:
    """The header ``webhook-signature`` of a message.

    Parameters
    ----------
    secret : bytes
        Shared with the receiver.
    identifier : str
        The message's; the same at each attempt.
    timestamp : int
        When it is sent, seconds since 1970, UTC.
    body : bytes

    Returns
    -------
    str
        ``v1,`` and base64.
    """
    signed = b".".join((identifier.encode("ascii"), str(timestamp).encode("ascii"), body))
    return "v1," + base64.b64encode(hmac.digest(secret, signed, hashlib.sha256)).decode("ascii")


def _secret(to: WebhookDestination) -> bytes:
    """The secret, read anew for each connection."""
    option = f"[[destination]] {to.name} secret_file"
    try:
        text = service.read_secret(option, to.secret_file)
    except service.SecretUnusable as error:
        raise PeerUnavailable(str(error)) from error
    try:
        secret = base64.b64decode(text.removeprefix(SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        secret = b""
    if not LEAST_SECRET_BYTES <= len(secret) <= MOST_SECRET_BYTES:
        raise PeerUnavailable(
            f"{option} {to.secret_file}: expected {LEAST_SECRET_BYTES} to {MOST_SECRET_BYTES} bytes in base64"
        )
    return secret
