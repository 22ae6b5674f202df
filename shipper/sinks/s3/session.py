"""The HTTP of the S3 client: aiobotocore's own, but no redirect is followed and no answer is read without end.

aiobotocore leaves redirects to aiohttp, which follows them: a batch and the session token would go to whatever address
an answer names, and that address could say "stored" (`AIOHTTPSession.send`:
https://github.com/aio-libs/aiobotocore/blob/master/aiobotocore/httpsession.py). A redirect to a bucket's region names
the region; botocore sends such a request once more, to S3 itself and signed anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
from aiobotocore.httpsession import AIOHTTPSession
from yarl import URL

MOST_ANSWER: Final = 1 << 20
"""Bytes of an answer that are read; S3's XML of an error has some hundred, that of a bucket's head none."""

_REGION_HEADER: Final = "x-amz-bucket-region"
_REGION_ELEMENT: Final = b"<Region>"


class Redirected(aiohttp.ClientError):
    """The answer is a redirect that names no region. botocore would ask for the region, and be answered the same."""


@dataclass(frozen=True, slots=True)
class ShortAnswer:
    """An answer as aiobotocore reads it, whole."""

    url: URL
    status: int
    raw_headers: Sequence[tuple[bytes, bytes]]
    body: bytes

    async def read(self) -> bytes:
        return self.body


@dataclass(frozen=True, slots=True)
class StraightSession:
    """What aiobotocore asks of aiohttp's session, without redirects and with an end to answers."""

    session: aiohttp.ClientSession

    async def request(self, method: str, **arguments: Any) -> ShortAnswer:
        async with self.session.request(method, **arguments, allow_redirects=False) as answer:
            body = await _short(answer)
            named = _REGION_HEADER in answer.headers or _REGION_ELEMENT in body
            if 300 <= answer.status < 400 and answer.status != 304 and not named:
                raise Redirected(f"a redirect, {answer.status}, which is not followed")
            return ShortAnswer(answer.url, answer.status, answer.raw_headers, body)


class StraightHttp(AIOHTTPSession):
    """For `AioConfig.http_session_cls`."""

    async def _get_session(self, proxy_url: str | None) -> StraightSession:
        session = await super()._get_session(proxy_url)  # type: ignore[no-untyped-call]
        return StraightSession(session)


async def _short(answer: aiohttp.ClientResponse) -> bytes:
    """The body. Raises ClientPayloadError where it is longer than any answer of S3."""
    body = bytearray()
    async for piece in answer.content.iter_any():
        body += piece
        if len(body) > MOST_ANSWER:
            answer.close()
            raise aiohttp.ClientPayloadError(f"the answer has more than {MOST_ANSWER} bytes")
    return bytes(body)
