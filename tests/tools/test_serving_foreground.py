"""How many sockets a server may hold, in processes of their own."""

from __future__ import annotations

import subprocess
import sys

import pytest

from semprop.engine.errors import SpecificationError
from semprop.tools.proxy.command import _bounds
from semprop.tools.serving.foreground import SPARE

PROGRAM = """
import resource, sys
from semprop.tools.serving.foreground import most_sockets
resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[1]), int(sys.argv[2])))
print(most_sockets(), resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such limit")
@pytest.mark.parametrize(("soft", "hard"), [(100, 300), (300, 300)])
def test_a_server_takes_all_the_room_that_the_system_gives(soft, hard):
    command = [sys.executable, "-c", PROGRAM, str(soft), str(hard)]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.split()
    assert said == [str(hard - SPARE), str(hard)]


def test_every_client_of_a_proxy_may_need_a_second_socket(capfd):
    assert _bounds(2001.0).connections == 1000
    assert _bounds(float("inf")).connections == float("inf")
    assert not capfd.readouterr().out
    assert _bounds(100.0).connections == 50
    assert "few_sockets" in capfd.readouterr().out
    with pytest.raises(SpecificationError, match="ulimit -n"):
        _bounds(1.0)
