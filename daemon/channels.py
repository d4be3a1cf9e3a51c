"""One way to every kind of destination: open a channel, send one object after another, close."""

import contextlib
import time
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Protocol

from daemon import dicomweb, mllp, peer, webhook
from daemon.config import (
    Destination,
    DicomwebDestination,
    DimseDestination,
    Hl7Destination,
    WebhookDestination,
)
from daemon.outcomes import Accepted
from storage.deliveries import Delivery

# An archive ends what is silent for half a minute or longer.
REST_SECONDS = 10.0


class Channel(Protocol):
    """An open connection to a destination."""

    def send(self, one: Delivery, path: Path) -> Accepted:
        """Send a result, which is in file `path`, and judge the answer.

        Raises
        ------
        NotTaken
            If it is to be sent again later; the channel is of no more use.
        PeerRefused
            If it will never be taken.
        """

    def serves(self, sop_class_uids: Collection[str]) -> bool:
        """Whether it is still open, may be kept for later, and is for these classes."""

    def close(self) -> None:
        """End the connection."""


def open_channel(ae_title: str, to: Destination, sop_class_uids: Collection[str]) -> Channel:
    """Connect to a destination.

    Parameters
    ----------
    ae_title : str
        Ours.
    to : Destination
    sop_class_uids : collection of str
        Of the objects that will be sent.

    Raises
    ------
    PeerUnavailable
        If there is no connection, or a certificate or secret cannot be used: until an admin acts.
    """
    match to:
        case DimseDestination():
            return peer.open_channel(ae_title, to, sop_class_uids)
        case DicomwebDestination():
            return dicomweb.open_channel(to)
        case Hl7Destination():
            return mllp.open_channel(to)
        case WebhookDestination():
            return webhook.open_channel(to)


def check(ae_title: str, to: Destination) -> str:
    """What a destination answers when it is sent nothing.

    Raises
    ------
    PeerUnavailable, NotTaken, PeerRefused
        If it does not answer well.
    """
    match to:
        case DimseDestination():
            return peer.check(ae_title, to)
        case DicomwebDestination():
            return dicomweb.check(to)
        case Hl7Destination():
            return mllp.check(to)
        case WebhookDestination():
            return webhook.check(to)


class Kept:
    """The channel to a destination, kept between batches for as long as results go on coming.

    Parameters
    ----------
    ae_title : str
        Ours.
    to : Destination
    """

    def __init__(self, ae_title: str, to: Destination) -> None:
        self._ae_title = ae_title
        self._to = to
        self._channel: Channel | None = None
        self._used_at = 0.0

    @contextlib.contextmanager
    def open(self, sop_class_uids: Collection[str]) -> Iterator[Channel]:
        """The channel that rests, or a new one, as `open_channel` makes it; any trouble meanwhile ends it."""
        if self._channel is None or not self._channel.serves(sop_class_uids):
            self.close()
            self._channel = open_channel(self._ae_title, self._to, sop_class_uids)
        try:
            yield self._channel
        except BaseException:
            self.close()
            raise
        self._used_at = time.monotonic()
        self.tend()

    def tend(self) -> None:
        """Close a channel that the peer ended, or that rests for `REST_SECONDS`."""
        if self._channel is not None and not (
            time.monotonic() - self._used_at < REST_SECONDS and self._channel.serves(())
        ):
            self.close()

    def close(self) -> None:
        """End the connection."""
        if self._channel is not None:
            channel, self._channel = self._channel, None
            channel.close()
