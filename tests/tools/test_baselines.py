"""The baselines end to end from the command line, with the simulated model."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize("method", ["optoprime", "copro", "opro"])
def test_a_baseline_runs_to_its_report_without_a_backward_call(command, tmp_path, method):
    said = command(
        *("optimize", "lookup", "--method", method, "--steps", "1", "--examples-per-gradient", "3", "--json"),
        *("--train", "6", "--gate-size", "10", "--test", "10", "--run", str(tmp_path / "run")),
    )
    assert said.code == 0, said.err
    result, calls = said.document["result"], said.document["telemetry"]["calls"]
    assert result["method"] == method
    assert calls["update"] >= 1
    assert "backward" not in calls
    if method == "optoprime":
        assert result["held_out"]["after"] == 1.0
        assert calls["update"] == 1
