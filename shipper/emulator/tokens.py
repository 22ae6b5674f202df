"""Bearer tokens: an OAuth client-credentials endpoint, and the check of what it issued."""

from __future__ import annotations

import secrets
from typing import Final

from aiohttp import web

from shipper.emulator.scenario import Scenario

TOKEN_PATH: Final = "/realms/dodil/protocol/openid-connect/token"  # noqa: S105 - the platform's own path


class Tokens:
    """Which tokens are accepted. Tests move `lifetime_s`, `down` and `client_secret`, expire and revoke.

    `requests` counts what came to the endpoint, `issued` lists the tokens in order.
    """

    def __init__(self, scenario: Scenario) -> None:
        self.lifetime_s = scenario.token_lifetime_s
        self.client_id = scenario.client_id
        self.client_secret = scenario.client_secret
        self.down = False  # the endpoint answers 503
        self.requests = 0
        self.issued: list[str] = []
        self._clock = scenario.clock
        self._static = scenario.token
        self._expires_ms: dict[str, float] = {}

    @property
    def needed(self) -> bool:
        """Whether calls without a token are refused."""
        return self._static is not None

    def issue(self) -> str:
        """A new token, accepted until it expires or is revoked."""
        token = f"emulated-{secrets.token_urlsafe(24)}"
        self.issued.append(token)
        self._expires_ms[token] = self._clock() + self.lifetime_s * 1000
        return token

    def refusal(self, header: str | None) -> str | None:
        """Why an `authorization` header is not accepted, or None if it is."""
        if not self.needed:
            return None
        if not header:
            return "no authorization header"
        scheme, _, token = header.partition(" ")
        if scheme.lower() != "bearer" or not token:
            return "the authorization header is not a bearer token"
        if token == self._static:
            return None
        if token not in self._expires_ms:
            return "the token is unknown or was revoked"
        if self._clock() >= self._expires_ms[token]:
            return "the token has expired"
        return None

    def expire_all(self) -> None:
        """Every issued token expires now. Open streams live on (see `Emulator.expire_tokens`)."""
        self._expires_ms = dict.fromkeys(self._expires_ms, 0.0)

    def revoke(self, token: str | None = None) -> None:
        """Forget one issued token, or all of them; the static one too if it is named."""
        if token is None:
            self._expires_ms.clear()
        elif token == self._static:
            self._static = ""
        else:
            self._expires_ms.pop(token, None)

    def accept(self, token: str) -> None:
        """Make this the static token from now on (a token file that was rewritten)."""
        self._static = token


class TokenEndpoint:
    """The HTTP server in front of `Tokens`, on a port of its own."""

    def __init__(self, tokens: Tokens, host: str) -> None:
        self._tokens = tokens
        self._host = host.strip("[]")  # an IPv6 address comes as in a URL
        self._runner: web.AppRunner | None = None
        self._port = 0

    @property
    def url(self) -> str:
        """Where a client posts its credentials."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._port}{TOKEN_PATH}"

    async def start(self) -> None:
        """Listen on a free port."""
        app = web.Application()
        app.router.add_post(TOKEN_PATH, self._answer)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, 0)
        await site.start()
        self._port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _answer(self, request: web.Request) -> web.Response:
        tokens = self._tokens
        tokens.requests += 1
        if tokens.down:
            return web.json_response({"error": "temporarily_unavailable"}, status=503)
        form = await request.post()
        if form.get("grant_type") != "client_credentials":
            return web.json_response({"error": "unsupported_grant_type"}, status=400)
        if (form.get("client_id"), form.get("client_secret")) != (tokens.client_id, tokens.client_secret):
            return web.json_response({"error": "unauthorized_client"}, status=401)
        return web.json_response(
            {
                "access_token": tokens.issue(),
                "expires_in": int(tokens.lifetime_s),
                "token_type": "Bearer",
                "not-before-policy": 0,
                "scope": "profile",
            }
        )
