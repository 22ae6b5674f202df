"""What an HTTP answer to a parcel means: the one table of the sinks that take records."""

from __future__ import annotations

import socket
import ssl

import pytest

from shipper.sinks.answers import answer_of, failure_of, quoted, wish_s
from shipper.sinks.port import Delivered, Malformed, Parked, Retry, TooLarge


@pytest.mark.parametrize(
    ("statuses", "means"),
    [
        ([200, 202, 204], Delivered),
        ([408, 425, 429, 500, 501, 502, 503, 504, 520, 599], Retry),
        ([413], TooLarge),
        ([400, 422], Malformed),
        ([401, 403], Parked),
        ([301, 302, 304, 402, 404, 405, 407, 410, 411, 414, 418, 431, 451, 499], Parked),
    ],
)
def test_each_status_means_one_thing(statuses: list[int], means: type) -> None:
    for status in statuses:
        assert type(answer_of(status, {}, b"why")) is means, status


def test_no_status_at_all_throws_records_away_but_the_three_that_name_them() -> None:
    kept = {Delivered, Retry, Parked}
    assert {status for status in range(100, 700) if type(answer_of(status, {})) not in kept} == {
        400,
        413,
        422,
    }


def test_the_reason_has_the_status_and_what_the_server_said_in_one_harmless_line() -> None:
    assert answer_of(400, {}, b'{"errors":\n ["bad \x1b[2J json"]}') == Malformed(
        '400 Bad Request ({"errors": ["bad [2J json"]})'
    )
    assert quoted(403, "") == "403 Forbidden"
    assert quoted(599, b"\xff") == "599 (\ufffd)"
    assert len(quoted(500, "x" * 10_000_000)) < 350


def test_a_parked_sink_says_what_to_do_in_its_own_words_where_it_has_them() -> None:
    assert answer_of(403, {}, advice={403: "check `api_key` and `site`"}) == Parked(
        "403 Forbidden: check `api_key` and `site`"
    )
    assert answer_of(401, {}) == Parked("401 Unauthorized: check the key")
    assert "leads elsewhere" in str(answer_of(302, {}))


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "120"}, 120.0),
        ({"retry-after": " 2.5 "}, 2.5),
        ({"Retry-After": "Fri, 31 Dec 1999 23:59:59 GMT", "Date": "Fri, 31 Dec 1999 23:59:29 GMT"}, 30.0),
        ({"Retry-After": "Fri, 31 Dec 1999 23:59:59 GMT", "Date": "garbage"}, 99.0),
        ({"Retry-After": "Fri, 31 Dec 1999 23:59:59 GMT"}, 99.0),
        ({"Retry-After": "Fri, 31 Dec 1979 23:59:59 GMT"}, 0.0),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "-5"}, None),
        ({"Retry-After": "nan"}, None),
        ({"Retry-After": "1e400"}, None),
        ({"Retry-After": "9" * 500}, None),
        ({"Retry-After": "٣"}, None),
        ({"Retry-After": ""}, None),
        ({"Retry-After": "."}, None),
        ({"X-RateLimit-Reset": "7"}, 7.0),
        ({"X-RateLimit-Reset": "7", "Retry-After": "3"}, 7.0),
        ({"X-RateLimit-Reset": "x", "Retry-After": "3"}, 3.0),
    ],
)
def test_the_servers_own_hint_is_read(headers: dict[str, str], seconds: float | None) -> None:
    new_year_s = 946_684_799.0
    assert wish_s(headers, clock=lambda: new_year_s - 99) == seconds
    assert answer_of(429, headers, clock=lambda: new_year_s - 99) == Retry("429 Too Many Requests", seconds)


def test_a_request_without_an_answer_is_tried_again_but_for_a_server_that_proves_nothing() -> None:
    untrusted = ssl.SSLCertVerificationError(1, "self-signed certificate")
    wrapped = OSError("cannot connect")
    wrapped.os_error = untrusted  # type: ignore[attr-defined]
    assert isinstance(failure_of(wrapped, "intake"), Parked)
    assert failure_of(TimeoutError(), "intake") == Retry("intake did not answer in time")
    reset = ConnectionResetError(104, "x")
    assert failure_of(reset, "intake") == Retry("the connection to intake failed (Connection reset by peer)")
    unknown = failure_of(socket.gaierror(-2, "Name or service not known"), "intake")
    assert unknown == Retry("the name of intake cannot be resolved (Name or service not known)")
    assert failure_of(ValueError(), "intake") == Retry("the connection to intake failed (ValueError)")
