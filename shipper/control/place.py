"""Where the control socket lies: in the buffer's directory, for its owner alone."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

NAME: Final = "shipper.sock"
LONGEST_ADDRESS: Final = 100
"""A socket's address has 104 bytes on BSD and macOS and 108 on Linux (unix(7)), one of them a NUL."""


class AddressTooLong(OSError):
    """The path is too long for a socket's address, and this system has no way around that."""


@contextmanager
def address_of(directory: Path) -> Iterator[str]:
    """The socket's address while the block runs.

    A path that is too long for one is reached through an open directory, as Linux shows it in /proc/self/fd.
    """
    path = str(directory.absolute() / NAME)
    if len(os.fsencode(path)) <= LONGEST_ADDRESS:
        yield path
        return
    if not Path("/proc/self/fd").is_dir():
        raise AddressTooLong(
            f"the path {path} is too long for a socket: commands reach the buffer only while the daemon is stopped"
        )
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}/{NAME}"
    finally:
        os.close(descriptor)


def listening(directory: Path) -> socket.socket:
    """A socket that listens there. Who holds the buffer's lock may take the place of one that was left behind."""
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        os.fchmod(made.fileno(), 0o600)  # Linux makes the file with it: it is never open to others
        (directory / NAME).unlink(missing_ok=True)
        with address_of(directory) as address:
            made.bind(address)
        (directory / NAME).chmod(0o600)
        made.listen(8)
        made.setblocking(False)
    except BaseException:
        made.close()
        raise
    return made


def connected(directory: Path) -> socket.socket | None:
    """A connection to whoever listens there; None where nobody does. Raises OSError where that cannot be known."""
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with address_of(directory) as address:
            made.connect(address)
    except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError, AddressTooLong):
        made.close()
        return None
    except BaseException:
        made.close()
        raise
    return made
