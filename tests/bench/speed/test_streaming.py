"""Memory of a stream: the slope by hand, and a small stream in a process of its own."""

from __future__ import annotations

import sys

import pytest

from semprop.bench.speed.rows import Settings
from semprop.bench.speed.streaming import growth, streaming


def test_growth_is_megabytes_for_each_ten_thousand_examples() -> None:
    assert growth([100.0, 101.0, 102.0, 103.0], 10_000) == pytest.approx(1.0)
    assert growth([100.0, 101.0, 102.0], 5_000) == pytest.approx(2.0)
    assert growth([50.0, 50.0, 50.0], 10_000) == 0.0


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
async def test_a_process_of_its_own_tells_its_peak_and_its_growth() -> None:
    peak, grown = await streaming(Settings(repetitions=1, scale=0.001))
    assert (str(peak.bar), str(grown.bar), peak.unit) == ("≤ 300 MB", "≤ 1 MB", "MB")
    assert peak.value > 10
    assert "100 examples" in peak.note
