"""Latencies and fault scripts: functions of settings, seed, number, time and key."""

from __future__ import annotations

import math
from statistics import median

import pytest

from semprop.tools.endpoint.faults import Sight, holds, met
from semprop.tools.endpoint.latency import chance, pace
from semprop.tools.endpoint.scripts import End, Part, faulty, plain, streamed, whole
from semprop.tools.endpoint.settings import Distribution, Draw, Fault, FaultKind, Latency, When
from semprop.tools.endpoint.wire import Stream

SIGHT = Sight(attempt=10, at=5.0, key="k", tries=2)


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        (When(), True),
        (When(begin=5.0), True),
        (When(begin=5.1), False),
        (When(end=5.0), False),
        (When(first_attempt=10, last_attempt=10), True),
        (When(first_attempt=11), False),
        (When(last_attempt=9), False),
        (When(every=5), True),
        (When(every=3), False),
        (When(tries=2), True),
        (When(tries=1), False),
        (When(share=0.0), False),
    ],
)
def test_every_condition_of_a_fault_must_hold(when, expected):
    assert holds(when, SIGHT, seed=0) is expected


def test_the_first_fault_that_holds_is_met():
    late, first, second = (
        Fault(FaultKind.HANG, When(begin=9.0)),
        Fault(FaultKind.SERVER_ERROR),
        Fault(FaultKind.THROTTLE),
    )
    assert met((late, first, second), SIGHT, 0) is first


def test_a_share_is_met_by_about_so_many_attempts_and_by_the_same_ones_each_time():
    when = When(share=0.25)
    drawn = [holds(when, Sight(number, 0.0, "k"), seed=7) for number in range(4000)]
    assert sum(drawn) / 4000 == pytest.approx(0.25, abs=0.03)
    assert drawn == [holds(when, Sight(number, 0.0, "k"), seed=7) for number in range(4000)]
    assert drawn != [holds(when, Sight(number, 0.0, "k"), seed=8) for number in range(4000)]


def test_a_share_of_requests_gives_every_attempt_of_a_request_the_same_fate():
    when = When(share=0.5, draw=Draw.REQUEST)
    fates = {key: {holds(when, Sight(number, 0.0, key), 0) for number in range(1, 20)} for key in "abcdefgh"}
    assert all(len(fate) == 1 for fate in fates.values())
    assert len({fate.pop() for fate in fates.values()}) == 2


def test_a_latency_is_a_function_of_the_request_and_log_normal_around_its_median():
    latency = Latency(first=Distribution(0.2, 0.5))
    drawn = [pace(latency, 0, str(key), 0, 1).first for key in range(4000)]
    assert median(drawn) == pytest.approx(0.2, rel=0.05)
    logs = [math.log(each / 0.2) for each in drawn]
    assert math.sqrt(sum(each * each for each in logs) / 4000) == pytest.approx(0.5, rel=0.05)
    assert drawn[0] == pace(latency, 0, "0", 0, 1).first


def test_tokens_in_and_out_lengthen_a_latency():
    latency = Latency(Distribution(0.1), Distribution(0.01), per_input_token=0.001)
    assert pace(latency, 0, "k", 100, 11).whole == pytest.approx(0.1 + 0.1 + 0.1)
    spread = pace(Latency(gap=Distribution(0.01, 0.3)), 0, "k", 0, 200)
    assert len(set(spread.gaps)) == 199 and median(spread.gaps) == pytest.approx(0.01, rel=0.1)


def test_chances_are_even():
    drawn = [chance(1, number) for number in range(2000)]
    assert all(0 < each < 1 for each in drawn)
    assert sum(drawn) / 2000 == pytest.approx(0.5, abs=0.03)


def test_a_stream_comes_at_the_pace_of_its_tokens():
    stream = Stream(b"open", (b"a", b"b", b"", b"d"), b"close", b"done")
    answer = streamed(stream, 1.0, pace(Latency(Distribution(0.5), Distribution(0.1)), 0, "k", 0, 4), b"")
    assert [round(part.at, 6) for part in answer.parts] == [1.5, 1.5, 1.6, 1.8, 1.8]


def test_a_slow_reply_sends_the_same_bytes_at_its_rate():
    answer = whole(b"x" * 100, at=1.0)
    script = faulty(answer, Fault(FaultKind.SLOW, rate=10.0))
    parts = list(script.parts)
    assert b"".join(part.data for part in parts) == b"x" * 100
    assert parts[-1].at == pytest.approx(11.0)
    assert len(parts) == 100


def test_a_reset_after_the_headers_leaves_half_the_body():
    script = faulty(whole(b"0123456789", at=0.0), Fault(FaultKind.RESET_AFTER))
    assert script.parts == (Part(0.0, b"01234"),)
    assert script.end is End.RESET and script.opening is not None and script.opening.length == 10


def test_a_fault_of_streams_alone_leaves_a_whole_reply_as_it_is():
    answer = whole(b"{}", at=0.0)
    assert faulty(answer, Fault(FaultKind.NO_DONE)) == plain(answer)


def test_a_refusing_fault_is_no_change_to_a_reply():
    with pytest.raises(ValueError, match="refuses"):
        faulty(whole(b"{}", at=0.0), Fault(FaultKind.THROTTLE))
