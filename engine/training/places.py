"""Where a journal may stand: on a disk of this machine. SQLite's log needs memory that processes share and locks that
hold; file systems on a network give neither, and would lose replies without a word.
"""

from __future__ import annotations

import sys
from pathlib import Path

from semprop.engine.errors import StorageError

NETWORK = (
    *("nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ncpfs", "ceph", "glusterfs", "lustre", "beegfs", "gpfs", "davfs"),
    *("fuse.sshfs", "fuse.glusterfs", "fuse.ceph", "fuse.s3fs", "fuse.gcsfuse", "fuse.rclone", "fuse.davfs2"),
)
"""File systems that are on a network, as Linux names them."""

_MOUNTS = Path("/proc/self/mountinfo")


def check_local(path: Path, mounts: str | None = None) -> None:
    """Make sure that a directory, which need not be there yet, is on a disk of this machine, as far as can be seen.

    Args:
        mounts: what is mounted, as Linux tells it; None asks the system, which only Linux answers.

    Raises:
        StorageError: it is on a network.
    """
    if mounts is None:
        if sys.platform != "linux" or not _MOUNTS.exists():
            return
        mounts = _MOUNTS.read_text(errors="replace")
    kind = kind_of(path.absolute(), mounts)
    if kind in NETWORK:
        raise StorageError(
            f"{path} is on a network file system ({kind}), which can lose what is written: name a directory on a disk "
            "of this machine (--run), and copy it from there when the run has ended"
        )


def kind_of(path: Path, mounts: str) -> str | None:
    """The file system that a path is on: the innermost mount above it, the latest of several at one place."""
    found: tuple[int, str] | None = None
    for line in mounts.splitlines():
        left, dash, right = line.partition(" - ")
        fields = left.split(" ")
        if not dash or len(fields) < 5:
            continue
        # Spaces and the like stand as octal numbers.
        point = Path(fields[4].encode().decode("unicode_escape"))
        if path.is_relative_to(point) and (found is None or len(point.parts) >= found[0]):
            found = len(point.parts), right.split(" ")[0]
    return None if found is None else found[1]
