"""When a server wants to be asked again: three forms are read, nonsense and unbounded wishes are not obeyed."""

from __future__ import annotations

import base64

import pytest
from google.protobuf import any_pb2, duration_pb2
from hypothesis import given
from hypothesis import strategies as st

from shipper.ignite.retry_info import LONGEST_S, retry_after_s


def field(number: int, value: bytes) -> bytes:
    return bytes([number << 3 | 2, len(value)]) + value


def details(seconds: int = 0, nanos: int = 0, kind: str = "google.rpc.RetryInfo") -> str:
    """A google.rpc.Status with another detail in front, encoded as gRPC puts it into trailers."""
    delay = duration_pb2.Duration(seconds=seconds, nanos=nanos).SerializeToString()
    other = any_pb2.Any(type_url="type.googleapis.com/google.rpc.DebugInfo", value=b"\x0a\x01x")
    info = any_pb2.Any(type_url=f"type.googleapis.com/{kind}", value=field(1, delay))
    status = (
        b"\x08\x0e" + field(2, b"busy") + b"".join(field(3, d.SerializeToString()) for d in (other, info))
    )
    return base64.b64encode(status).decode().rstrip("=")


def wish(**headers: str) -> float | None:
    return retry_after_s(lambda name: headers.get(name.replace("-", "_")))


def test_no_header_is_no_wish() -> None:
    assert wish() is None


def test_pushback_is_in_milliseconds_and_retry_after_in_seconds() -> None:
    assert wish(grpc_retry_pushback_ms="1500") == 1.5
    assert wish(retry_after="7") == 7.0
    assert wish(grpc_retry_pushback_ms="0") == 0.0


def test_retry_info_is_found_among_the_details() -> None:
    assert wish(grpc_status_details_bin=details(2, 500_000_000)) == 2.5
    assert wish(grpc_status_details_bin=details(kind="google.rpc.QuotaFailure", seconds=2)) is None


def test_padding_of_the_details_is_optional() -> None:
    encoded = details(3)
    assert wish(grpc_status_details_bin=encoded + "=" * (-len(encoded) % 4)) == 3.0


@pytest.mark.parametrize("text", ["-1", "", "soon", "1.5", "²", "9" * 40])
def test_a_number_that_is_none_is_no_wish(text: str) -> None:
    assert wish(retry_after=text) is None
    assert wish(grpc_retry_pushback_ms=text) is None


def test_a_wish_is_bounded() -> None:
    assert wish(retry_after="86400") == LONGEST_S
    assert wish(grpc_status_details_bin=details(10**9)) == LONGEST_S


def test_a_negative_delay_is_none_at_all() -> None:
    assert wish(grpc_status_details_bin=details(-5)) == 0.0


@given(st.binary(max_size=60))
def test_details_that_are_garbage_never_raise(data: bytes) -> None:
    for encoded in (base64.b64encode(data).decode(), data.decode("latin-1")):
        result = wish(grpc_status_details_bin=encoded)
        assert result is None or 0 <= result <= LONGEST_S


def test_retry_after_may_be_a_date_which_is_read_against_the_servers_own() -> None:
    then, now = "Wed, 21 Oct 2015 07:28:30 GMT", "Wed, 21 Oct 2015 07:28:00 GMT"
    assert wish(retry_after=then, date=now) == 30.0
    assert wish(retry_after=now, date=then) == 0.0
    assert wish(retry_after=then) == 0.0  # long ago by our clock
    assert wish(retry_after="Wed, 21 Oct 2515 07:28:30 GMT", date=now) == LONGEST_S
    for nonsense in ("soon", "", "Wed, 21 Oct 2015 07:28:30 -0000", "Wed, 99 Oct 2015 07:28:30 GMT"):
        assert wish(retry_after=nonsense, date=now) is None
        assert wish(retry_after=then, date=nonsense) is None
