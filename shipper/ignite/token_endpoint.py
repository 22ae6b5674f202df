"""Fetches bearer tokens over HTTP by OAuth client credentials (RFC 6749 section 4.4), as Keycloak serves them."""

from __future__ import annotations

import asyncio
import math
import os
import socket
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
import orjson
import tenacity

from shipper.ignite.auth import Grant, is_bearer
from shipper.ignite.status import CallFailed, Code, Status

DEFAULT_LIFETIME_S: Final = (
    300.0  # where the answer does not say; the platform's tokens live about five minutes
)
_ATTEMPT_TIMEOUT_S: Final = 10.0
_RETRY_FOR_S: Final = 20.0  # then the caller hears of it and backs off by itself
_LARGEST: Final = 1_000_000
_MAY_PASS: Final = frozenset({408, 425, 429})  # of the 4xx; every other one stays what it is


@dataclass(frozen=True, slots=True, repr=False)
class TokenEndpoint:
    """Asks one endpoint, a few times where it may help. Raises CallFailed: UNAUTHENTICATED where the endpoint refuses,
    UNAVAILABLE where it does not answer as it should.
    """

    url: str
    client_id: str
    client_secret: str
    retry_for_s: float = _RETRY_FOR_S
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep

    async def __call__(self) -> Grant:
        retrying = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception(_may_pass),
            wait=tenacity.wait_random_exponential(multiplier=0.1, max=5.0),
            stop=tenacity.stop_after_delay(self.retry_for_s),
            sleep=self.sleep,
            reraise=True,
        )
        grant: Grant = await retrying(self._fetch)
        return grant

    async def _fetch(self) -> Grant:
        form = {
            "grant_type": "client_credentials",
            "client_id": self.client_id,
            "client_secret": self.client_secret,
        }
        try:
            timeout = aiohttp.ClientTimeout(total=_ATTEMPT_TIMEOUT_S)
            async with (
                aiohttp.ClientSession(timeout=timeout, trust_env=True) as session,
                session.post(self.url, data=form, allow_redirects=False) as answer,
            ):
                return self._read(answer.status, await _body(answer.content))
        except (aiohttp.ClientError, OSError) as error:  # TimeoutError is an OSError
            raise self._unavailable(
                f"cannot be reached ({_reason(error)}): check ignite.auth.token_url, and the network to it"
            ) from error

    def _read(self, status: int, body: bytes) -> Grant:
        if status == 200:
            return self._grant(body)
        if 400 <= status < 500 and status not in _MAY_PASS:
            word = _error_word(body)
            raise CallFailed(
                Status(
                    Code.UNAUTHENTICATED,
                    f"the token endpoint {self.url} refused client_id {self.client_id!r} with HTTP {status}"
                    f"{word and f' ({word})'}: check ignite.auth.token_url, client_id and client_secret",
                )
            )
        raise self._unavailable(f"answered HTTP {status}")

    def _grant(self, body: bytes) -> Grant:
        try:
            answer = orjson.loads(body)
            token, lifetime = answer["access_token"], _lifetime(answer.get("expires_in"))
        except (ValueError, KeyError, TypeError, AttributeError):
            raise self._unavailable("answered something that is not a token") from None
        if not isinstance(token, str) or not is_bearer(token):
            raise self._unavailable("answered a token that cannot be sent") from None
        return Grant(token, lifetime)

    def _unavailable(self, what: str) -> CallFailed:
        return CallFailed(Status(Code.UNAVAILABLE, f"the token endpoint {self.url} {what}"))


async def _body(content: aiohttp.StreamReader) -> bytes:
    """All of an answer, up to a bound: `read(n)` would give what has come so far, which may be half a token."""
    body = bytearray()
    while len(body) < _LARGEST and (piece := await content.read(_LARGEST - len(body))):
        body += piece
    return bytes(body)


def _lifetime(expires_in: Any) -> float:
    """Seconds; what is absent, zero or no number at all says nothing."""
    try:
        lifetime = float(expires_in)
    except (TypeError, ValueError):
        return DEFAULT_LIFETIME_S
    return lifetime if lifetime > 0 and math.isfinite(lifetime) else DEFAULT_LIFETIME_S


def _error_word(body: bytes) -> str:
    """OAuth's error code (RFC 6749 section 5.2), where the body has one; nothing else of it is repeated."""
    try:
        word = orjson.loads(body)["error"]
    except (ValueError, KeyError, TypeError):
        return ""
    return word if isinstance(word, str) and word.replace("_", "").isalnum() and len(word) <= 40 else ""


def _reason(error: aiohttp.ClientError | OSError) -> str:
    """What the system said, without the words that aiohttp puts around it."""
    cause = error.__cause__ or error
    if isinstance(cause, OSError) and cause.errno and not isinstance(cause, ssl.SSLError | socket.gaierror):
        return os.strerror(cause.errno)
    return str(cause) or type(cause).__name__


def _may_pass(error: BaseException) -> bool:
    return isinstance(error, CallFailed) and error.status.code is Code.UNAVAILABLE
