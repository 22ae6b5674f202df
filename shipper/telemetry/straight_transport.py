"""How reports of the daemon's own faults leave: as sentry-sdk sends them, but to the configured address alone.

The SDK leaves redirects to urllib3, which follows them and carries the key along (`HttpTransport._request`:
https://github.com/getsentry/sentry-python/blob/master/sentry_sdk/transport.py), and reads answers without end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from sentry_sdk.consts import EndpointType
from sentry_sdk.transport import HttpTransport

_MOST_ANSWER: Final = 4096


@dataclass(frozen=True, slots=True)
class ShortAnswer:
    """What the SDK asks of an answer."""

    status: int
    headers: Mapping[str, str]
    data: bytes

    def close(self) -> None:
        """The connection is let go of already."""


class StraightTransport(HttpTransport):
    """No redirect is followed; of an answer the beginning is read."""

    def _request(
        self, method: str, endpoint_type: EndpointType, body: Any, headers: Mapping[str, str]
    ) -> Any:
        answer = self._pool.request(
            method,
            self._auth.get_api_url(endpoint_type),
            body=body,
            headers=headers,
            redirect=False,
            preload_content=False,
        )
        try:
            return ShortAnswer(answer.status, answer.headers, answer.read(_MOST_ANSWER, decode_content=False))
        finally:
            answer.close()
