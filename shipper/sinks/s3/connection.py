"""The S3 client of a sink: how it is configured, made and given up."""

from __future__ import annotations

import asyncio
import os
from contextlib import AsyncExitStack
from typing import Any, Final
from urllib.parse import urlsplit

from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession
from botocore.exceptions import NoCredentialsError
from botocore.handlers import add_expect_header

from shipper import __version__
from shipper.sinks.s3.descriptions import TerseFiles
from shipper.sinks.s3.options import S3Options
from shipper.sinks.s3.session import StraightHttp

# Nothing sensible takes longer than this between two bytes of an answer; the whole upload has its own, longer
# limit.
_READ_TIMEOUT: Final = 60.0


class Connection:
    """Makes the client when it is first wanted. All on one event loop."""

    def __init__(self, options: S3Options) -> None:
        self._options: Final = options
        self._session: Final[Any] = AioSession(profile=options.profile)  # type: ignore[no-untyped-call]
        self._making: Final = asyncio.Lock()
        self._stack: Final = AsyncExitStack()
        self._client: Any = None

    async def client(self) -> Any:
        """The client. Raises what botocore raises for credentials and profiles that cannot be used."""
        async with self._making:
            if self._client is None:
                # Before the credentials: a web identity makes a client of its own, for STS.
                self._session.get_component("data_loader").file_loader = TerseFiles()
                await self._find_credentials()
                client = await self._stack.enter_async_context(self._create())
                # Whoever sends `Expect: 100-continue` waits without a limit for a server that does not know it, as
                # Cloudflare R2: aiohttp has no timeout there (https://developers.cloudflare.com/r2/api/s3/extensions/).
                client.meta.events.unregister("before-call.s3", add_expect_header)
                self._client = client
            return self._client

    async def aclose(self) -> None:
        """Close what is open. Idempotent."""
        async with self._making:
            self._client = None
            await self._stack.aclose()

    async def _find_credentials(self) -> None:
        # A client that is made without credentials never looks for them again; the session does.
        if self._options.access_key_id is None and await self._session.get_credentials() is None:
            raise NoCredentialsError

    def _create(self) -> Any:
        options = self._options
        return self._session.create_client(
            "s3",
            region_name=options.region
            or os.environ.get("AWS_REGION"),  # botocore reads AWS_DEFAULT_REGION alone
            endpoint_url=options.endpoint_url,
            verify=str(options.ca_file) if options.ca_file else None,
            aws_access_key_id=options.access_key_id,
            aws_secret_access_key=options.secret_access_key,
            aws_session_token=options.session_token,
            config=client_config(options),
        )


def client_config(options: S3Options) -> AioConfig:
    """How the client behaves: one attempt, plain bodies, no more connections than uploads."""
    style = options.addressing_style
    if style == "auto" and options.endpoint_url:
        style = "path"
    return AioConfig(
        connect_timeout=options.connect_timeout_s,
        read_timeout=min(_READ_TIMEOUT, options.timeout_s),
        retries={"total_max_attempts": 1, "mode": "standard"},
        max_pool_connections=options.concurrency + 1,  # one more for a check
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        s3={"addressing_style": style},
        http_session_cls=StraightHttp,
        warm_up_loader_caches=True,  # reads the service's JSON models in a thread, and not 90 ms long in the loop
        user_agent_extra=f"shipper/{__version__}",
    )


def is_aws(client: Any) -> bool:
    """Whether the client talks to Amazon itself (the endpoint may also come from the environment or a profile)."""
    host = urlsplit(client.meta.endpoint_url).hostname or ""
    return host.endswith((".amazonaws.com", ".amazonaws.com.cn", ".api.aws"))
