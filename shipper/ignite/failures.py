"""What goes wrong below gRPC, as statuses whose messages say what to do.

The words looked for are those of rustls and hyper, which pyqwest is built on; where they change, the message
only loses its advice.
"""

from __future__ import annotations

from typing import Final

import pyqwest

from shipper.ignite.status import Code, Status, from_reset

TRANSPORT_ERRORS: Final = (
    OSError,  # ConnectionError and TimeoutError of connecting among them
    pyqwest.RemoteProtocolError,
    pyqwest.ReadError,
    pyqwest.WriteError,
)

_LONGEST: Final = 500
_ADVICE: Final = (
    (
        "UnknownIssuer",
        "the server's certificate is not signed by a trusted authority: name that authority's PEM file in "
        "ignite.tls.ca_file",
    ),
    (
        "not valid for name",
        "the server's certificate is for another name: set ignite.tls.server_name, or the endpoint to that name",
    ),
    ("certificate expired", "the server's certificate has expired, or this machine's clock is wrong"),
    (
        "certificate not valid yet",
        "the server's certificate is not valid yet, or this machine's clock is wrong",
    ),
    ("InvalidContentType", "what listens there does not speak TLS: write grpc:// for plaintext"),
    ("dns error", "the host of ignite.endpoint has no address"),
)
_NOT_UNDERSTOOD: Final = {
    "https": "the server closed the connection at once: it must speak HTTP/2, and if it wants a client certificate, "
    "set ignite.tls.cert_file and key_file",
    "http": "the server closed the connection at once: it must speak HTTP/2, and if it speaks TLS, write grpcs://",
}


def status_of(error: BaseException, base_url: str, *, known: bool) -> Status:
    """The status that a transport error amounts to. `known` says that the server has answered before; else what is
    wrong is perhaps the configuration.
    """
    if isinstance(error, pyqwest.StreamError):
        reset = f"{base_url} reset the stream ({error.code.name}): {tidy(str(error))}"
        return Status(from_reset(error.code), reset)
    reason = tidy(str(error)) or type(error).__name__
    advice = next((f"{advice}: " for words, advice in _ADVICE if words in reason), "")
    if not advice and not known and _closed_at_once(error, reason):
        advice = f"{_NOT_UNDERSTOOD[base_url.partition(':')[0]]}: "
    return Status(Code.UNAVAILABLE, f"{base_url}: {advice}{reason}", genuine=False)


def _closed_at_once(error: BaseException, reason: str) -> bool:
    """Whether there was a connection, and the server did not like what came over it."""
    return isinstance(error, pyqwest.WriteError) or "close_notify" in reason or "reset by peer" in reason


def refused(error: BaseException) -> bool:
    """Whether a request was refused before it was looked at, so that it may be sent again on another connection
    (RFC 9113 section 8.7).
    """
    return isinstance(error, pyqwest.StreamError) and error.code is pyqwest.StreamErrorCode.REFUSED_STREAM


def tidy(text: str) -> str:
    """Foreign text for a message of ours: one line, printable, bounded."""
    line = " ".join(text.split())[:_LONGEST]
    return line if line.isprintable() else "".join(char if char.isprintable() else "\ufffd" for char in line)
