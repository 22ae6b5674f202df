"""Where a batch lies in the archive: pure functions from records' times and the platform's names to keys.

The layout is Hive's: `kind=<kind>/org=<organization>/app=<app>/dt=YYYY-MM-DD/hour=HH/<name>.ndjson.zst`.
Readers take `key=value` folders as columns and undo percent-encoding
(https://duckdb.org/docs/stable/data/partitioning/hive_partitioning).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Final

from shipper.model import MS_PER_HOUR, Codec, Partition

EXTENSIONS: Final = {Codec.ZSTD: ".ndjson.zst", Codec.GZIP: ".ndjson.gz", Codec.NONE: ".ndjson"}

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_MS: Final = (datetime(1, 1, 1, tzinfo=UTC) - _EPOCH) // timedelta(milliseconds=1)
_LAST_MS: Final = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // timedelta(milliseconds=1)
_FIRST_HOUR: Final = _FIRST_MS // MS_PER_HOUR
_LAST_HOUR: Final = _LAST_MS // MS_PER_HOUR

# A folder's name may have 255 bytes on common file systems (NAME_MAX), an S3 key 1,024 in all: two names of
# this length, the rest of the key and a prefix of some 500 bytes fit.
_LONGEST_NAME: Final = 200
_HASH_DIGITS: Final = 32
_PLAIN: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.")
_HIDING: Final = frozenset(b"_.")  # readers skip files and folders that begin so


def hour_of(timestamp_ms: int) -> int:
    """Whole hours since the epoch, kept within the years 1 to 9999 (all that a folder's date can say)."""
    return min(max(timestamp_ms // MS_PER_HOUR, _FIRST_HOUR), _LAST_HOUR)


def partition_path(partition: Partition) -> str:
    """The folder of a partition, without a slash at either end."""
    hour = min(max(partition.hour, _FIRST_HOUR), _LAST_HOUR)
    begin = _EPOCH + timedelta(hours=hour)
    return (
        f"kind={partition.kind.value}/org={escape(partition.organization)}/app={escape(partition.app)}"
        f"/dt={begin.date().isoformat()}/hour={begin.hour:02d}"
    )


def object_key(prefix: str, partition: Partition, name: str, codec: Codec) -> str:
    """The whole key of a batch. `prefix` is the user's own and is taken as it is, less outer slashes."""
    path = f"{partition_path(partition)}/{name}{EXTENSIONS[codec]}"
    trimmed = prefix.strip("/")
    return f"{trimmed}/{path}" if trimmed else path


def escape(name: str) -> str:
    """A platform's name as part of a key: it cannot leave its folder, and two names never become one.

    Letters, digits, `-`, `_` and `.` stay (the last two not in front); everything else is percent-encoded
    UTF-8. What is longer than 200 bytes then is cut and gets `~` and 128 bits of SHA-256 of the whole. No
    other result holds a `~` but that of the empty name, which is `~`.
    """
    if not name:
        return "~"
    raw = name.encode("utf-8", "surrogatepass")
    parts = [chr(byte) if byte in _PLAIN else f"%{byte:02X}" for byte in raw]
    if raw[0] in _HIDING:
        parts[0] = f"%{raw[0]:02X}"
    whole = "".join(parts)
    if len(whole) <= _LONGEST_NAME:
        return whole
    return f"{_cut(parts, _LONGEST_NAME - _HASH_DIGITS - 1)}~{sha256(raw).hexdigest()[:_HASH_DIGITS]}"


def _cut(parts: list[str], longest: int) -> str:
    """As many parts as fit, so that no percent-encoding is cut in two."""
    size = 0
    for count, part in enumerate(parts):
        size += len(part)
        if size > longest:
            return "".join(parts[:count])
    return "".join(parts)


def batch_name(first_ms: int, buffer_id: str, first_frame: int, last_frame: int) -> str:
    """A batch's base name without extension: unique in its partition and sink, sorting as the times do.

    The time comes first and has a fixed width. Frames are numbered once in a buffer's life, so their numbers
    tell apart what begins in the same millisecond.
    """
    moment = _EPOCH + timedelta(milliseconds=min(max(first_ms, _FIRST_MS), _LAST_MS))
    date = moment.date().isoformat().replace("-", "")
    time = f"{moment.hour:02d}{moment.minute:02d}{moment.second:02d}{moment.microsecond // 1000:03d}"
    return f"{date}T{time}Z-{buffer_id}-{first_frame:012d}-{last_frame:012d}"
