"""The bytes of the archive: one JSON object a line, and the compression around the lines.

A line of log text that is not valid Unicode is kept twice: `line` shows it with U+FFFD for what cannot be
shown, and `line_base64` has its exact bytes. `decode` gives back the exact bytes.
"""

from __future__ import annotations

import io
import zlib
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson
import zstandard

from shipper.errors import ArchiveDamaged
from shipper.model import App, Codec, Gap

_ZSTD_LEVEL: Final = 3
_GZIP_LEVEL: Final = 6
_GZIP_WINDOW: Final = 31  # zlib's way of saying: gzip header and trailer, 32 KiB window
_PIECE: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class LogIdentity:
    """Whose lines they are. Empty values are left out of the records."""

    organization: str
    app: str
    replica_id: str = ""
    cluster_id: str = ""
    node_name: str = ""


@dataclass(frozen=True, slots=True)
class BuildIdentity:
    """Which build's lines they are. Empty values are left out of the records; `source` is `build` or `compile`."""

    organization: str
    app: str
    build_id: str = ""
    deploy_id: str = ""
    source: str = ""


# ---- compression ----


def compress(codec: Codec, data: bytes) -> bytes:
    """One self-contained frame or member, which may be concatenated. The same data gives the same bytes."""
    match codec:
        case Codec.ZSTD:
            compressor = zstandard.ZstdCompressor(
                level=_ZSTD_LEVEL, write_checksum=True, write_content_size=True
            )
            return compressor.compress(data)
        case Codec.GZIP:
            # zlib writes a header without file name and with time 0 (RFC 1952, MTIME), so nothing varies.
            return zlib.compress(data, _GZIP_LEVEL, _GZIP_WINDOW)
        case Codec.NONE:
            return bytes(data)


def decompress(codec: Codec, data: bytes, *, max_size: int | None = None) -> bytes:
    """The content of all frames in `data`, end to end.

    Raises ArchiveDamaged for bytes that are not whole frames of this codec, and for more than `max_size`
    bytes of content; a bomb is noticed before much more than `max_size` has been unpacked.
    """
    found: list[bytes] = []
    size = 0
    for piece in pieces(codec, data, max_size=max_size):
        size += len(piece)
        _check_size(size, max_size)
        found.append(piece)
    return b"".join(found)


def pieces(codec: Codec, data: bytes, *, max_size: int | None = None) -> Iterator[bytes]:
    """The content of all frames in `data`, end to end, piece by piece as it is asked for; see `decompress`."""
    if codec is Codec.NONE:
        yield bytes(data)
        return
    unpack = _unpack_zstd if codec is Codec.ZSTD else _unpack_gzip
    try:
        yield from unpack(data, max_size)
    except (zlib.error, zstandard.ZstdError) as error:
        raise ArchiveDamaged(f"not {codec.value} data: {error}") from error


def recode(frame_data: bytes, source: Codec, target: Codec) -> bytes:
    """The same content in another codec; the same input gives the same bytes."""
    return frame_data if source is target else compress(target, decompress(source, frame_data))


def _check_size(size: int, max_size: int | None) -> None:
    if max_size is not None and size > max_size:
        raise ArchiveDamaged(f"the content is larger than the {max_size} bytes allowed")


def _unpack_zstd(data: bytes, max_size: int | None) -> Iterator[bytes]:
    view = memoryview(data)
    at = 0
    while at < len(view):
        declared = zstandard.frame_content_size(view[at : at + 32])  # -1: the header does not say
        if declared > 0:
            _check_size(declared, max_size)
        frame = zstandard.ZstdDecompressor().decompressobj()
        # A frame that declares its size cannot grow beyond it. One that does not is fed in crumbs, as some
        # twenty thousand bytes of content may come out of one byte.
        crumb = _PIECE if declared >= 0 or max_size is None else 256
        while not frame.eof:
            if at >= len(view):
                raise ArchiveDamaged("zstd data ends in the middle of a frame")
            piece = view[at : at + crumb]
            yield frame.decompress(piece)
            at += len(piece)
        at -= len(frame.unused_data)


def _unpack_gzip(data: bytes, max_size: int | None) -> Iterator[bytes]:
    view = memoryview(data)
    most = _PIECE if max_size is None else min(max_size + 1, 16 * _PIECE)
    at = 0
    while at < len(view):
        member = zlib.decompressobj(_GZIP_WINDOW)
        while not member.eof:
            if at >= len(view) and not member.unconsumed_tail:
                raise ArchiveDamaged("gzip data ends in the middle of a member")
            piece: bytes | memoryview = member.unconsumed_tail
            if not piece:
                piece = view[at : at + _PIECE]
                at += len(piece)
            yield member.decompress(piece, most)
        at -= len(member.unused_data)


# ---- records ----


def encode_logs(
    identity: LogIdentity, times: Sequence[int], streams: Sequence[str | None], lines: Sequence[str | bytes]
) -> list[bytes]:
    """One NDJSON line, newline included, for each record; see `encode_log_run`."""
    return encode_log_run(identity, times, streams, lines).splitlines(keepends=True)


def encode_log_run(
    identity: LogIdentity, times: Sequence[int], streams: Sequence[str | None], lines: Sequence[str | bytes]
) -> bytes:
    """Records of one replica as NDJSON, end to end. The three sequences belong together by index."""
    if not len(times) == len(streams) == len(lines):
        raise ValueError(f"{len(times)} times and {len(streams)} streams for {len(lines)} lines")
    middles = {stream: _log_middle(identity, stream) for stream in set(streams)}
    return _run(times, list(map(middles.__getitem__, streams)), lines)


def encode_build_run(identity: BuildIdentity, times: Sequence[int], lines: Sequence[str | bytes]) -> bytes:
    """Records of one build as NDJSON, end to end. The two sequences belong together by index."""
    if len(times) != len(lines):
        raise ValueError(f"{len(times)} times for {len(lines)} lines")
    return _run(times, [_build_middle(identity)] * len(lines), lines)


def encode_event(
    app: App,
    *,
    timestamp_ms: int,
    replica_id: str = "",
    kind: str | int | None = None,
    reason: str = "",
    message: str = "",
    count: int | None = None,
    severity: str = "",
) -> bytes:
    """One platform event as an NDJSON line. What is empty or None was not sent and is left out."""
    return _line(
        {
            "timestamp_ms": timestamp_ms,
            "organization": app.organization,
            "app": app.name,
            **_sent({"replica_id": replica_id, "kind": kind, "reason": reason, "message": message}),
            **_sent({"count": count, "severity": severity}),
        }
    )


def encode_gap(gap: Gap) -> bytes:
    """One gap as an NDJSON line. Every field is there, `lost` as null when it cannot be known."""
    return _line(
        {
            "timestamp_ms": gap.noticed_ms,
            "organization": gap.app.organization,
            "app": gap.app.name,
            "replica_id": gap.replica_id,
            "stream_kind": gap.stream_kind.value,
            "from_ms": gap.from_ms,
            "to_ms": gap.to_ms,
            "reason": gap.reason.value,
            "detail": gap.detail,
            "lost": gap.lost,
        }
    )


def decode(data: bytes) -> Iterator[dict[str, Any]]:
    """The records in NDJSON bytes. A `line` that was not valid Unicode comes back as its exact bytes.

    Raises ArchiveDamaged for a line that is not a JSON object.
    """
    for number, line in enumerate(io.BytesIO(data), 1):
        try:
            record = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            raise ArchiveDamaged(f"line {number} is not JSON: {error}") from error
        if not isinstance(record, dict):
            raise ArchiveDamaged(f"line {number} is not a JSON object")
        exact = record.pop("line_base64", None)
        if exact is not None:
            record["line"] = _exact_bytes(exact, number)
        yield record


def log_bytes(record: Mapping[str, Any]) -> bytes:
    """The exact bytes of a decoded log record's line."""
    line: str | bytes = record["line"]
    return line if isinstance(line, bytes) else line.encode()


def _exact_bytes(encoded: object, number: int) -> bytes:
    try:
        return b64decode(str(encoded), validate=True)
    except ValueError as error:
        raise ArchiveDamaged(f"line {number} has a line_base64 that is not base64: {error}") from error


def _quote(lines: Sequence[str | bytes]) -> tuple[list[bytes], dict[int, bytes]]:
    """Each line as a JSON string, and the exact bytes, by index, of those that are not Unicode."""
    try:
        return _quote_text(lines), {}
    except TypeError:  # bytes among them, or text with lone surrogates
        pass
    try:
        return _quote_text([line.decode() if isinstance(line, bytes) else line for line in lines]), {}
    except (TypeError, UnicodeDecodeError):
        pass
    exact: dict[int, bytes] = {}
    texts: list[str] = []
    for index, line in enumerate(lines):
        raw = line if isinstance(line, bytes) else line.encode("utf-8", "surrogatepass")
        text = raw.decode("utf-8", "replace")
        texts.append(text)
        if text.encode() != raw:
            exact[index] = raw
    return _quote_text(texts), exact


def _quote_text(lines: Sequence[str | bytes]) -> list[bytes]:
    """One call of the serialiser for all.

    Its indented form puts a raw newline between the strings; inside a string a newline is always escaped, so
    splitting there is safe. A split of the plain form at `","` is not: a line that ends in `",` looks so too.
    """
    return orjson.dumps(lines, option=orjson.OPT_INDENT_2)[4:-2].split(b",\n  ")


def _run(times: Sequence[int], middles: Sequence[bytes], lines: Sequence[str | bytes]) -> bytes:
    """Records with a line each, end to end.

    This is the hot path: one call of the serialiser for all lines and one for all times; what they have in common is
    rendered once; and all pieces are joined at once, as an object for each record would cost more than its text.
    """
    if not lines:
        return b""
    quoted, exact = _quote(lines)
    for index, raw in exact.items():
        quoted[index] += b',"line_base64":"' + b64encode(raw) + b'"'
    pieces = [b'}\n{"timestamp_ms":'] * (4 * len(lines) + 1)  # before, between and after the records
    pieces[0], pieces[-1] = b'{"timestamp_ms":', b"}\n"
    pieces[1::4] = orjson.dumps(times)[1:-1].split(b",")
    pieces[2::4] = middles
    pieces[3::4] = quoted
    return b"".join(pieces)


def _log_middle(identity: LogIdentity, stream: str | None) -> bytes:
    """What stands between the time and the line of a log record."""
    return _middle(
        {
            "organization": identity.organization,
            "app": identity.app,
            **_sent({"replica_id": identity.replica_id, "cluster_id": identity.cluster_id}),
            **_sent({"node_name": identity.node_name, "stream": stream}),
        }
    )


def _build_middle(identity: BuildIdentity) -> bytes:
    """What stands between the time and the line of a build's record."""
    return _middle(
        {
            "organization": identity.organization,
            "app": identity.app,
            **_sent({"build_id": identity.build_id, "deploy_id": identity.deploy_id}),
            **_sent({"source": identity.source}),
        }
    )


def _middle(fields: Mapping[str, str | int]) -> bytes:
    return b"," + _line(fields)[1:-2] + b',"line":'


def _sent(fields: dict[str, str | int | None]) -> dict[str, str | int]:
    return {name: value for name, value in fields.items() if value is not None and value != ""}


def _line(fields: Mapping[str, str | int | None]) -> bytes:
    try:
        return orjson.dumps(fields, option=orjson.OPT_APPEND_NEWLINE)
    except TypeError:  # lone surrogates in a name or a message; the serialiser takes valid Unicode only
        shown = {name: _showable(value) for name, value in fields.items()}
        return orjson.dumps(shown, option=orjson.OPT_APPEND_NEWLINE)


def _showable(value: str | int | None) -> str | int | None:
    if not isinstance(value, str):
        return value
    return value.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
