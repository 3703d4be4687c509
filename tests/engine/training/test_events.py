"""Observers observe, never steer: one that raises is let go, and the others go on."""

import structlog

from semprop.engine.training.events import Announcer, ItemDone

EVENT = ItemDone(0, "gate")


def test_every_observer_gets_every_event_in_order():
    seen = []
    announce = Announcer([lambda event: seen.append(("a", event)), lambda event: seen.append(("b", event))])
    announce(EVENT)
    assert seen == [("a", EVENT), ("b", EVENT)]


def test_an_observer_that_raises_is_logged_once_and_let_go_while_the_others_go_on():
    seen, calls = [], []

    def broken(event):
        calls.append(event)
        raise ValueError("observer")

    announce = Announcer([broken, seen.append])
    with structlog.testing.capture_logs() as logs:
        announce(EVENT)
        announce(EVENT)
    assert calls == [EVENT]
    assert seen == [EVENT, EVENT]
    assert [entry["log_level"] for entry in logs] == ["error"]
    assert "is not called again" in logs[0]["event"]
    assert "broken" in logs[0]["observer"]
