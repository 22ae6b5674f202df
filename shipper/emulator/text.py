"""What the emulated apps print: made-up text in several voices, or real log files."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Protocol

_Voice = Callable[[random.Random], str]

APP_NAMES: Final = (
    "checkout", "catalog", "search", "mailer", "invoices", "thumbnails", "sessions", "webhooks", "reports", "gateway",
)  # fmt: skip
_PATHS: Final = (
    "/",
    "/healthz",
    "/api/items",
    "/api/items/{}",
    "/api/cart/{}",
    "/login",
    "/export/{}.csv",
    "/search?q=münchen",
)
_ITEMS: Final = (
    "blue kettle",
    "desk lamp",
    "café table",
    "wool blanket",
    "garden hose",
    "notebook A5",
    "東京 poster",
)
_STEPS: Final = ("queued", "claimed", "rendered", "validated", "stored", "acknowledged")
_AGENTS: Final = ("curl/8.9", "Mozilla/5.0 (X11; Linux x86_64)", "okhttp/4.12", "python-httpx/0.28")


class LineSource(Protocol):
    """Where lines come from."""

    def line(self, app: str) -> str:
        """The next line that this app prints, without a line end."""


class GeneratedText:
    """Text from a seed: each app speaks mostly in a voice of its own and now and then in another."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._voices: dict[str, _Voice] = {}

    def line(self, app: str) -> str:
        rng = self._random
        if app not in self._voices:
            self._voices[app] = _VOICES[len(self._voices) % len(_VOICES)]
        if rng.random() < 0.08:
            return rng.choice(_ODDITIES)(rng)
        return self._voices[app](rng)


class FileText:
    """The lines of files, over and over; each app begins at another place."""

    def __init__(self, lines: Sequence[str]) -> None:
        if not lines:
            raise ValueError("the files hold no lines")
        self._lines = lines
        self._next: dict[str, int] = {}

    def line(self, app: str) -> str:
        start = len(self._next) * (len(self._lines) // 7 + 1)
        at = self._next.get(app, start) % len(self._lines)
        self._next[app] = at + 1
        return self._lines[at]


def generated_lines(seed: int) -> LineSource:
    """Lines of our own making."""
    return GeneratedText(seed)


def lines_of_files(paths: Sequence[Path]) -> LineSource:
    """Real log text; what is not UTF-8 becomes replacement characters. Raises OSError, and ValueError if empty."""
    lines: list[str] = []
    for path in paths:
        lines += path.read_text(encoding="utf-8", errors="replace").splitlines()
    return FileText(lines)


def _access(rng: random.Random) -> str:
    path = rng.choice(_PATHS).replace("{}", str(rng.randrange(90_000)))
    status = rng.choices((200, 201, 204, 304, 404, 502), (70, 8, 6, 9, 5, 2))[0]
    return (
        f'10.4.{rng.randrange(16)}.{rng.randrange(256)} "{rng.choice(("GET", "GET", "POST"))} {path}" {status} '
        f'{rng.randrange(40, 90_000)}B {rng.lognormvariate(3, 1):.1f}ms "{rng.choice(_AGENTS)}"'
    )


def _structured(rng: random.Random) -> str:
    return json.dumps(
        {
            "level": rng.choices(("info", "debug", "warn", "error"), (80, 12, 6, 2))[0],
            "msg": f"added {rng.choice(_ITEMS)} to cart",
            "cart": f"c-{rng.getrandbits(40):010x}",
            "took_ms": round(rng.lognormvariate(2, 1), 2),
            "trace": f"{rng.getrandbits(64):016x}",
        },
        ensure_ascii=rng.random() < 0.5,
    )


def _pairs(rng: random.Random) -> str:
    return (
        f"level={rng.choices(('info', 'warn'), (95, 5))[0]} job={rng.getrandbits(32):08x} step={rng.choice(_STEPS)} "
        f'attempt={rng.randrange(1, 4)} queue_depth={rng.randrange(300)} note="{rng.choice(_ITEMS)}"'
    )


def _prose(rng: random.Random) -> str:
    return rng.choice(
        (
            f"processed batch {rng.randrange(100_000)} in {rng.randrange(1, 400)}ms",
            f"cache hit ratio {rng.uniform(60, 99.9):.1f}% over the last {rng.randrange(10, 60)}s",
            f"sent receipt for order {rng.randrange(10**8)} ({rng.choice(_ITEMS)})",
            f"connection pool: {rng.randrange(20)} in use, {rng.randrange(20)} idle",
        )
    )


_VOICES: Final[tuple[_Voice, ...]] = (_structured, _access, _pairs, _prose)
_ODDITIES: Final[tuple[_Voice, ...]] = (
    lambda rng: "",
    lambda rng: "retrying",
    lambda rng: f"    at handler.process (/app/src/handler.ts:{rng.randrange(400)}:{rng.randrange(80)})",
    lambda rng: f"\x1b[33mWARN\x1b[0m slow query\t{rng.randrange(200, 4000)} ms",
    lambda rng: f'Traceback: KeyError("{rng.choice(_ITEMS)}") \\ while rendering "receipt.html"',
    lambda rng: "payload " + "".join(rng.choices("0123456789abcdef", k=rng.randrange(200, 900))),
)
