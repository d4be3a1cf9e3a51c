"""Names that stand for patients, admissions and studies: keyed hashes, the same for the same key."""

import hashlib
import hmac

LEAST_KEY_CHARACTERS = 32
_DIGITS = 16
_UID_BYTES = 16


class KeyTooShort(ValueError):
    """A key that could be guessed, and with it every name."""


class Pseudonyms:
    """HMAC-SHA-256 (RFC 2104) of what names somebody, cut to 64 bits; a kind of name never meets another.

    Parameters
    ----------
    key : str

    Raises
    ------
    KeyTooShort
    """

    def __init__(self, key: str) -> None:
        if len(key) < LEAST_KEY_CHARACTERS:
            raise KeyTooShort(
                f"key for pseudonyms: found {len(key)} characters, expected {LEAST_KEY_CHARACTERS} or more, "
                "as `openssl rand -hex 32` makes them"
            )
        self._key = key.encode()

    def _digest(self, kind: str, name: str) -> bytes:
        return hmac.new(self._key, f"{kind}\0{name}".encode(), hashlib.sha256).digest()

    def of(self, kind: str, name: str) -> str:
        """Sixteen hexadecimal digits for a name of some kind, such as patient or admission."""
        return self._digest(kind, name).hex()[:_DIGITS]

    def uid(self, uid: str) -> str:
        """A UID for a UID (PS3.5 B.2: 2.25 and an integer of 128 bits)."""
        return f"2.25.{int.from_bytes(self._digest('uid', uid)[:_UID_BYTES], 'big')}"
