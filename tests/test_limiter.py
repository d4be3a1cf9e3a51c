"""daemon/console/limiter.py: how often somebody may try."""

from hypothesis import given
from hypothesis import strategies as st

from daemon.console.limiter import Limiter

BURST, SECONDS = 5, 60.0


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def make(**keywords):
    clock = Clock()
    return clock, Limiter(BURST, SECONDS, clock, **keywords)


def test_a_burst_is_let_through_then_one_each_time_the_wait_that_was_told_is_over():
    clock, limiter = make()
    assert [limiter.take("kim") for _ in range(BURST)] == [0.0] * BURST
    wait = limiter.take("kim")
    assert wait == SECONDS
    clock.now += wait
    assert limiter.take("kim") == 0.0
    assert limiter.take("kim") == SECONDS


def test_keys_do_not_wait_for_one_another_and_what_is_given_back_can_be_taken():
    _, limiter = make()
    for _ in range(BURST):
        limiter.take("kim")
    assert limiter.take("lee") == 0.0
    limiter.give_back("kim")
    assert limiter.take("kim") == 0.0


def test_of_too_many_keys_the_one_asked_for_longest_ago_is_forgotten():
    _, limiter = make(most_keys=2)
    for key in ("a", "b", "a", "c"):
        limiter.take(key)
    assert list(limiter._full_at) == ["a", "c"]


@given(st.lists(st.floats(0, 200), max_size=60))
def test_no_more_go_through_than_the_burst_and_what_time_has_added(pauses):
    clock, limiter = make()
    let_through = 0
    for pause in pauses:
        clock.now += pause
        let_through += limiter.take("kim") == 0.0
    assert let_through <= BURST + sum(pauses) / SECONDS
