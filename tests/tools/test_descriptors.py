"""The limit on open files, in processes of their own."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no such limit")

PROGRAM = """
import resource, sys
from semprop.engine.errors import UsageError
from semprop.tools.descriptors import raise_file_limit
soft, hard, needed = map(int, sys.argv[1:])
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
try:
    print(raise_file_limit(needed), resource.getrlimit(resource.RLIMIT_NOFILE)[0])
except UsageError as error:
    print(error)
"""


def raised(soft, hard, needed):
    command = [sys.executable, "-c", PROGRAM, str(soft), str(hard), str(needed)]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.strip()


def test_a_limit_that_is_too_low_is_raised_as_far_as_is_needed():
    assert raised(100, 300, 200) == "200 200"


def test_a_limit_that_is_high_enough_stays():
    assert raised(250, 300, 200) == "250 250"


def test_a_limit_that_cannot_be_raised_is_refused_with_the_mend():
    told = raised(100, 150, 200)
    assert "200 open files and sockets are needed at once, and the system allows 150" in told
    assert "`ulimit -n 200`" in told


def test_a_command_that_needs_more_sockets_than_there_can_be_says_so_before_anything_is_sent(tmp_path):
    program = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_NOFILE, (150, 150)); "
        "from semprop.tools.__main__ import main; sys.exit(main())"
    )
    order = ["optimize", "cities", "--forward", "openai:m@http://127.0.0.1:9/v1", "--in-flight", "500"]
    command = [sys.executable, "-c", program, *order, "--run", str(tmp_path / "run")]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == 2
    assert "and the system allows 150" in ended.stderr
    assert "`ulimit -n 564`" in ended.stderr
    assert not (tmp_path / "run").exists()
