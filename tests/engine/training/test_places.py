"""A journal stands on a disk of this machine, or nowhere."""

from pathlib import Path

import pytest

from semprop.engine import StorageError
from semprop.engine.training.places import check_local, kind_of

MOUNTS = """22 1 0:21 / / rw,relatime - ext4 /dev/sda1 rw
23 22 0:30 / /home rw shared:3 - nfs4 server:/home rw
24 23 0:31 / /home/me/scratch rw - xfs /dev/sdb1 rw
25 22 0:32 / /mnt/with\\040space rw - fuse.sshfs host: rw
a line that is none
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/data/run", "ext4"),
        ("/home/me/run", "nfs4"),
        ("/home/me/scratch/runs/one", "xfs"),
        ("/homes/run", "ext4"),
        ("/mnt/with space/run", "fuse.sshfs"),
    ],
)
def test_the_innermost_mount_says_what_it_is(path, kind):
    assert kind_of(Path(path), MOUNTS) == kind


def test_a_directory_on_a_network_is_refused_with_the_mend():
    with pytest.raises(StorageError, match=r"nfs4.*name a directory on a disk of this machine"):
        check_local(Path("/home/me/run"), MOUNTS)
    check_local(Path("/home/me/scratch/run"), MOUNTS)


def test_what_cannot_be_told_is_not_refused(tmp_path):
    assert kind_of(Path("/anywhere"), "") is None
    check_local(tmp_path)
