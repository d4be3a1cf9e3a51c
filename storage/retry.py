"""When to try again: pure arithmetic."""

import random

FIRST_WAIT_SECONDS = 5.0
LONGEST_WAIT_SECONDS = 900.0
# One connection a minute costs a peer nothing, and this is what films wait for after it is back.
LONGEST_PROBE_WAIT_SECONDS = 60.0


def wait_seconds(attempts: int, seed: int, longest: float = LONGEST_WAIT_SECONDS) -> float:
    """Time until the next attempt: doubling, capped, with jitter so that waiting films do not march in step.

    Parameters
    ----------
    attempts : int
        Attempts made so far, at least 1.
    seed : int
        Number of the delivery; the same delivery and attempt always wait the same time.
    longest : float
        Ceiling in seconds.

    Returns
    -------
    float
        Seconds, from half to the whole of ``FIRST_WAIT_SECONDS * 2 ** (attempts - 1)``, that product
        being at most `longest`.

    Raises
    ------
    ValueError
        If `attempts` is below 1.
    """
    if attempts < 1:
        raise ValueError(f"{attempts} attempts made, expected at least 1")
    # A float overflows at 2 ** 1024; the cap is reached long before.
    whole = min(longest, FIRST_WAIT_SECONDS * 2.0 ** min(attempts - 1, 30))
    return whole * (0.5 + 0.5 * random.Random(f"{seed}/{attempts}").random())  # noqa: S311 - jitter
