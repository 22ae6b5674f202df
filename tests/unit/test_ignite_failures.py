"""What goes wrong below gRPC is a status whose message says what to do about it."""

from __future__ import annotations

import socket
import ssl

import pytest

from shipper.ignite.failures import full, refused, status_of
from shipper.ignite.status import Code
from shipper.ignite.transport import (
    ConnectFailed,
    ConnectionLost,
    NotTaken,
    NotUnderstood,
    StreamReset,
    TransportError,
    tidy,
)

URL = "https://ignite.example:443"


def message(
    error: TransportError, cause: BaseException | None = None, *, url: str = URL, known: bool = False
) -> str:
    error.__cause__ = cause
    status = status_of(error, url, known=known)
    assert status.code is Code.UNAVAILABLE
    assert not status.genuine
    return status.message


def certificate(code: int) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_code = code
    return error


def tls(reason: str) -> ssl.SSLError:
    error = ssl.SSLError(1, reason)
    error.reason = reason
    return error


@pytest.mark.parametrize(
    ("cause", "advice"),
    [
        (certificate(18), "ignite.tls.ca_file"),
        (certificate(19), "ignite.tls.ca_file"),
        (certificate(20), "ignite.tls.ca_file"),
        (certificate(62), "ignite.tls.server_name"),
        (certificate(64), "ignite.tls.server_name"),
        (certificate(10), "has expired"),
        (certificate(9), "not valid yet"),
        (tls("WRONG_VERSION_NUMBER"), "write grpc:// (or http://) for plaintext"),
        (tls("TLSV13_ALERT_CERTIFICATE_REQUIRED"), "ignite.tls.cert_file"),
        (socket.gaierror(-2, "Name or service not known"), "has no address: check its spelling"),
        (ConnectionRefusedError(111, "Connection refused"), "check host and port of ignite.endpoint"),
    ],
)
def test_what_can_be_mended_in_the_configuration_says_where(cause: Exception, advice: str) -> None:
    assert advice in message(ConnectFailed(str(cause)), cause)


@pytest.mark.parametrize("cause", [certificate(23), tls("INTERNAL_ERROR"), OSError("disk"), None])
def test_what_is_not_known_is_told_as_it_is(cause: Exception | None) -> None:
    assert message(ConnectFailed("no luck"), cause) == f"{URL}: no luck"


def test_what_was_not_understood_is_advised_about_until_the_server_has_answered_once() -> None:
    assert "client certificate" in message(NotUnderstood("closed"))
    assert "write grpcs://" in message(NotUnderstood("closed"), url="http://ignite.example:80")
    assert message(NotUnderstood("closed"), known=True) == f"{URL}: closed"


def test_a_reset_has_the_code_that_grpc_gives_it() -> None:
    status = status_of(StreamReset("reset the stream (CANCEL)", 8), URL, known=True)
    assert (status.code, status.message) == (Code.CANCELLED, f"{URL} reset the stream (CANCEL)")


def test_only_what_nobody_looked_at_is_sent_again() -> None:
    assert [refused(error) for error in (NotTaken("full"), StreamReset("", 7), StreamReset("", 8))] == [
        True,
        True,
        False,
    ]
    assert not refused(ConnectionLost("broke"))
    assert full(StreamReset("", 7))  # a refusal says that the connection is full; a goodbye does not
    assert not full(NotTaken("goodbye"))


def test_one_error_for_several_who_wait_keeps_its_kind_words_and_cause() -> None:
    for error in (ConnectFailed("no luck"), StreamReset("gone", 8)):
        error.__cause__ = OSError()
        again = error.again()
        assert (type(again), str(again), again.__cause__) == (type(error), str(error), error.__cause__)
        assert again is not error


def test_foreign_text_is_one_printable_line() -> None:
    assert tidy(" a\n\tb \x1b[31m\u202e ") == "a b \ufffd[31m\ufffd"
    assert len(tidy("x" * 10_000)) == 500
