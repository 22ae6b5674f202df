"""The last defence against secrets in the daemon's own log: registered values are replaced in what is to be printed.

The first defence is that no message contains them.
"""

from __future__ import annotations

import json
import re
from collections import OrderedDict
from threading import Lock
from typing import Final
from urllib.parse import quote

MARK: Final = "[redacted]"
SHORTEST: Final = 6
"""Shorter values are not replaced: they would match by chance and tell what they are by what is missing."""
_MOST: Final = 64


class Redaction:
    """The secrets of this process. Thread-safe.

    At most `_MOST` values are kept, the latest ones: tokens are renewed for as long as the daemon runs.
    """

    __slots__ = ("_lock", "_pattern", "_secrets")

    def __init__(self) -> None:
        self._secrets: OrderedDict[str, tuple[str, ...]] = OrderedDict()
        self._pattern: re.Pattern[str] | None = None
        self._lock = Lock()

    def __repr__(self) -> str:
        return f"Redaction({len(self._secrets)} secrets)"

    def add(self, secret: str) -> None:
        """From now on `secret` is replaced, as it is and as it looks when quoted in a URL, in JSON or by repr()."""
        if len(secret) < SHORTEST:
            return
        with self._lock:
            self._secrets.pop(secret, None)
            self._secrets[secret] = _spellings(secret)
            while len(self._secrets) > _MOST:
                self._secrets.popitem(last=False)
            known = {spelling for spellings in self._secrets.values() for spelling in spellings}
            longest_first = sorted(known, key=len, reverse=True)
            self._pattern = re.compile("|".join(map(re.escape, longest_first)))

    def apply(self, text: str) -> str:
        """`text` without the registered secrets."""
        return text if self._pattern is None else self._pattern.sub(MARK, text)


def _spellings(secret: str) -> tuple[str, ...]:
    quoted = quote(secret.encode("utf-8", "surrogatepass"), safe="")
    return (
        secret,
        quoted,
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        repr(secret)[1:-1],
    )
