"""The command's side of the control socket."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

from shipper.control.place import connected
from shipper.control.wire import Answer, Request, decode, encode
from shipper.errors import ShipperError

PATIENCE_S: Final = 60.0


class CommandFailed(ShipperError):
    """The daemon refused a command or ended before its answer was complete; the message says which."""


def reach(directory: Path) -> socket.socket | None:
    """A connection to the daemon of this buffer; None where none listens. Raises CommandFailed."""
    try:
        return connected(directory)
    except PermissionError as error:
        advice = "run this as the user that the daemon runs as"
        raise CommandFailed(f"the control socket in {directory} is not for this user: {advice}") from error
    except OSError as error:
        raise CommandFailed(f"the control socket in {directory} cannot be used: {error}") from error


def ask(connection: socket.socket, request: Request) -> Iterator[Answer]:
    """The daemon's answers, up to and with `end`. Closes the connection. Raises CommandFailed."""
    connection.settimeout(PATIENCE_S)
    try:
        with closing(connection), connection.makefile("rb") as lines:
            connection.sendall(encode(request))
            for line in lines:
                answer = decode(line)
                if "error" in answer:
                    raise CommandFailed(str(answer["error"]))
                yield answer
                if "end" in answer:
                    return
    except OSError as error:
        raise CommandFailed(f"the daemon does not answer: {error}") from error
    raise CommandFailed("the daemon ended in the middle of its answer; run the command again")
