"""How often somebody may try: a bucket of attempts for each key, filled again with time."""

import threading
from collections import OrderedDict
from collections.abc import Callable


class Limiter:
    """Buckets of `burst` attempts, one more every `seconds` (the generic cell rate algorithm).

    Parameters
    ----------
    burst : int
    seconds : float
    clock : callable
        Monotonic seconds.
    most_keys : int
        Of more keys than these the one that was asked for longest ago is forgotten.
    """

    def __init__(
        self, burst: int, seconds: float, clock: Callable[[], float], most_keys: int = 10_000
    ) -> None:
        self._ahead, self._seconds = (burst - 1) * seconds, seconds
        self._clock, self._most_keys = clock, most_keys
        self._lock = threading.Lock()
        # When each bucket will be full again.
        self._full_at: OrderedDict[str, float] = OrderedDict()

    def take(self, key: str) -> float:
        """Take an attempt; 0, or the seconds until there is one to take."""
        with self._lock:
            now = self._clock()
            full_at = max(self._full_at.get(key, now), now)
            wait = full_at - self._ahead - now
            if wait > 0:
                return wait
            self._full_at[key] = full_at + self._seconds
            self._full_at.move_to_end(key)
            if len(self._full_at) > self._most_keys:
                self._full_at.popitem(last=False)
            return 0.0

    def give_back(self, key: str) -> None:
        """Put an attempt back that turned out to be none to count."""
        with self._lock:
            if key in self._full_at:
                self._full_at[key] -= self._seconds
