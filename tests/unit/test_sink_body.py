"""The bytes of an archive object and the arguments of its upload."""

from __future__ import annotations

import zlib
from base64 import b64decode
from hashlib import md5, sha256
from io import BytesIO
from typing import Any

import pytest

from shipper.archive.codec import compress, decompress
from shipper.errors import ArchiveDamaged
from shipper.model import Batch, Codec, Kind, Partition
from shipper.sinks.body import body_of
from shipper.sinks.s3.options import S3Options
from shipper.sinks.s3.request import Body, make_body, put_arguments, same_object

TEXTS = (b'{"line":"a"}\n' * 100, b'{"line":"b"}\n')


def batch(codec: Codec) -> Batch:
    partition = Partition(Kind.LOGS, "acme", "checkout", 0)
    return Batch(1, "archive", partition, "name", codec, 101, 100, 0, 0)


@pytest.mark.parametrize("source", list(Codec))
@pytest.mark.parametrize("target", list(Codec))
def test_a_body_in_any_codec_has_the_same_records_and_is_always_alike(source: Codec, target: Codec) -> None:
    frames = [compress(source, text) for text in TEXTS]
    bodies = [b"".join(body_of(batch(source), frames, target)) for _ in range(2)]
    assert bodies[0] == bodies[1]
    assert decompress(target, bodies[0]) == b"".join(TEXTS)


def test_frames_in_the_right_codec_are_not_touched() -> None:
    frames = [b"not even", b"compressed"]
    assert all(a is b for a, b in zip(body_of(batch(Codec.ZSTD), frames, Codec.ZSTD), frames, strict=True))


def test_a_damaged_frame_is_not_packed_anew() -> None:
    with pytest.raises(ArchiveDamaged):
        list(body_of(batch(Codec.ZSTD), [b"damaged"], Codec.GZIP))


def test_the_digests_are_those_of_the_whole_body() -> None:
    body = make_body(TEXTS)
    whole = b"".join(TEXTS)
    assert body.data.read() == whole
    assert body.size == len(whole)
    assert b64decode(body.md5) == md5(whole).digest()
    assert b64decode(body.crc32) == zlib.crc32(whole).to_bytes(4, "big")
    assert body.sha256 == sha256(whole).hexdigest()


def test_the_buffer_that_is_sent_is_not_copied_when_it_is_looked_at() -> None:
    """A BytesIO made of bytes would be: that is why the body is written and not joined."""
    body = make_body([b"x" * 1000, b"y" * 1000])
    with body.data.getbuffer() as first, body.data.getbuffer() as second:
        second[0:1] = b"z"
        assert first[0:1] == b"z"


def test_amazon_gets_a_crc32_and_other_stores_do_not() -> None:
    body = make_body(TEXTS)
    options = S3Options("acme-logs")
    assert put_arguments(options, "key", body, on_aws=True)["ChecksumCRC32"] == body.crc32
    assert "ChecksumCRC32" not in put_arguments(options, "key", body, on_aws=False)


def test_by_default_nothing_but_the_object_is_asked_for() -> None:
    arguments = put_arguments(S3Options("acme-logs"), "key", make_body(TEXTS), on_aws=False)
    assert set(arguments) == {"Bucket", "Key", "Body", "ContentMD5", "ContentType", "Metadata"}


def test_secrets_are_not_in_the_text_of_the_options() -> None:
    text = repr(S3Options("b", access_key_id="id", secret_access_key="s3cret", session_token="t0ken"))
    assert "s3cret" not in text
    assert "t0ken" not in text


BODY: Body = make_body(TEXTS)


@pytest.mark.parametrize(
    ("head", "same"),
    [
        ({"ContentLength": BODY.size, "Metadata": {"sha256": BODY.sha256}, "ETag": '"kms"'}, True),
        ({"ContentLength": BODY.size, "Metadata": {"sha256": "other"}}, False),
        ({"ContentLength": BODY.size - 1, "Metadata": {"sha256": BODY.sha256}}, False),
        ({"ContentLength": BODY.size, "Metadata": {}, "ETag": f'"{md5(b"".join(TEXTS)).hexdigest()}"'}, True),
        ({"ContentLength": BODY.size, "Metadata": {}, "ETag": '"other"'}, False),
        ({"ContentLength": BODY.size}, False),
        ({}, False),
    ],
)
def test_an_object_is_ours_if_length_and_digest_say_so(head: dict[str, Any], same: bool) -> None:
    assert same_object(head, BODY) is same


def test_looking_at_the_body_does_not_move_it() -> None:
    body = make_body(TEXTS)
    same_object({"ContentLength": body.size, "ETag": '"x"'}, body)
    assert isinstance(body.data, BytesIO)
    assert body.data.tell() == 0
