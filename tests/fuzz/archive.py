"""Fuzz targets: the archive's codec, on bytes that somebody else wrote and on lines that an app's author chose."""

from __future__ import annotations

import gzip
from typing import Final

import orjson
import zstandard

from shipper.archive.codec import LogIdentity, compress, decode, decompress, encode_log_run, log_bytes
from shipper.archive.layout import object_key
from shipper.errors import ArchiveDamaged
from shipper.model import Codec, Kind, Partition
from tests.fuzz.target import Knobs, Target

MOST: Final = 100_000  # bytes of content; a bomb of MOST_BYTES holds a hundred times as many
_RECORD: Final = b'{"timestamp_ms":1,"app":"a","line":"x"}\n'
_STREAMED: Final = zstandard.ZstdCompressor(level=1, write_content_size=False).compress(_RECORD * 50)


def unpack(data: bytes) -> str:
    """Unpacks at most MOST bytes and some, or says that the bytes are damaged."""
    knobs = Knobs(data)
    codec = (Codec.ZSTD, Codec.GZIP, Codec.NONE)[knobs.below(3)]
    try:
        content = decompress(codec, knobs.rest(), max_size=MOST)
    except ArchiveDamaged as error:
        return f"{codec} {str(error)[:24]}"
    assert codec is Codec.NONE or len(content) <= MOST
    return f"{codec} {min(len(content), 1)}"


def records(data: bytes) -> str:
    """NDJSON to records, or damaged."""
    seen = 0
    try:
        for record in decode(data):
            seen += 1
            if isinstance(record.get("line"), (str, bytes)):
                log_bytes(record)
    except ArchiveDamaged as error:
        return str(error)[7:30]
    return f"{min(seen, 3)}"


def round_trip(data: bytes) -> str:
    """Lines of any bytes, and names of any text, come back as they were; each record is one line of NDJSON."""
    knobs = Knobs(data)
    time = knobs.below(256) - 100
    name, _, rest = knobs.rest().partition(b"\0")
    app = name.decode("utf-8", "surrogateescape" if time % 2 else "replace")
    given: list[str | bytes] = []
    for line in rest.split(b"\1"):
        try:
            given.append(line.decode() if time % 3 else line)
        except UnicodeDecodeError:
            given.append(line)
    identity = LogIdentity("acme", app, "pod")
    ndjson = encode_log_run(
        identity, [time] * len(given), [None if time % 5 else "stdout"] * len(given), given
    )
    assert ndjson.count(b"\n") == len(given)
    back = list(decode(decompress(Codec.ZSTD, compress(Codec.ZSTD, ndjson))))
    assert [log_bytes(record) for record in back] == [
        line if isinstance(line, bytes) else line.encode() for line in given
    ]
    assert all(record["timestamp_ms"] == time and record["replica_id"] == "pod" for record in back)
    key = object_key("prefix", Partition(Kind.LOGS, "acme", app, time), "name", Codec.ZSTD)
    assert key.count("/") == 6
    assert ".." not in key.split("/")
    assert key.isascii()
    assert len(key) < 700
    for line in ndjson.splitlines():
        orjson.loads(line)
    return f"{min(len(back), 3)}"


TARGETS: Final = (
    Target(
        "archive-unpack",
        "zstd frames and gzip members, bombs among them",
        [
            b"\x00" + compress(Codec.ZSTD, _RECORD * 4),
            b"\x00" + compress(Codec.ZSTD, b"x" * 60_000) * 3,
            b"\x00" + _STREAMED,
            b"\x00" + compress(Codec.ZSTD, b"\0" * 5_000_000),
            b"\x01" + compress(Codec.GZIP, _RECORD * 4) * 2,
            b"\x01" + gzip.compress(b"\0" * 3_000_000, mtime=0),
            b"\x02" + _RECORD,
        ],
        unpack,
        words=[
            b"\x28\xb5\x2f\xfd",
            b"\x50\x2a\x4d\x18\x04\0\0\0",
            b"\x1f\x8b\x08\x00",
            compress(Codec.ZSTD, b""),
        ],
    ),
    Target(
        "archive-records",
        "NDJSON of an archive",
        [_RECORD * 3, b'{"line":"\xef\xbf\xbd","line_base64":"/w=="}\n', b"[1]\n", b"\n"],
        records,
        words=[
            b'"line_base64":',
            b'"line":',
            b"null",
            b"1e999",
            b"[" * 30,
            b"\\ud800",
            b"\xff",
            b"\n",
            b'"',
            b"\\u0000",
        ],
    ),
    Target(
        "archive-round-trip",
        "lines and names of any bytes, written and read",
        [
            b"\x6fcheckout\0hello\1world\1",
            b'\x69../..\0\xff\xfe\1"},{"',
            b"\x70.\0\xe2\x98\x83\1\n\1\r\1\x00",
            b"\x73\0",
        ],
        round_trip,
        words=[
            b"\1",
            b"\0",
            b"../",
            b"/",
            b"%2F",
            b"~",
            b"\xed\xa0\x80",
            b'",\n  "',
            b"\xe2\x80\xa8",
            b"\x1b[31m",
            b"\\",
        ],
    ),
)
