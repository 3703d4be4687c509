"""`semprop bench depth`: the table, and what is refused."""


def test_the_command_prints_a_row_for_every_world_and_bound(command):
    said = command("bench", "depth", "--depths", "2", "--json")
    assert said.code == 0
    rows = said.document["rows"]
    assert len(rows) == 12
    assert {row["depth"] for row in rows} == {2}
    assert all(0.0 <= row[share] <= 1.0 for row in rows for share in ("alive", "shown"))
    shown = command("bench", "depth", "--depths", "2", "--model", "simulated:L0=300").out
    assert "clusters, small budget" in shown
    assert "never what a language model writes" in shown


def test_depths_that_are_none_and_models_that_cost_are_refused(command):
    for depths in ("", "1", "x", "2,100"):
        said = command("bench", "depth", "--depths", depths)
        assert said.code == 2
        assert "give numbers from 2 to 64" in said.err
    said = command("bench", "depth", "--model", "openai:m")
    assert (said.code, "pays nobody" in said.err) == (2, True)
