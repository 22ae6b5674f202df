"""Sampling: one replica of so many, the same ones in every process and after every restart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from xxhash import xxh3_64_intdigest

_NAMES: Final = ("replica_id", "build_id", "deploy_id")


def replica_of(record: Mapping[str, Any]) -> str:
    """Whose record it is: a build counts as its own replica; empty where nothing says."""
    return next((str(record[name]) for name in _NAMES if record.get(name)), "")


def keeps(replica: str, one_in: int) -> bool:
    """Whether this replica is the one of so many. The hash is the same everywhere, Python's own is not."""
    return xxh3_64_intdigest(replica.encode("utf-8", "surrogatepass")) % one_in == 0
