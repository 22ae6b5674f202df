"""All metrics pushed over OTLP/HTTP again and again (https://opentelemetry.io/docs/specs/otlp/#otlphttp)."""

from __future__ import annotations

import asyncio
import gzip
import logging
import socket
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import aiohttp
from prometheus_client import Metric

from shipper import __version__

if TYPE_CHECKING:
    from shipper.config.otlp import OtlpSettings

log = logging.getLogger("shipper.telemetry")

PATH: Final = "/v1/metrics"
TIMEOUT_S: Final = 10.0
LAST_S: Final = 2.0
"""How long the export at the end of the process may take."""
_LARGEST: Final = 64 * 1024


@dataclass(slots=True)
class OtlpExport:
    """Sends what `collect` gives, every `settings.interval` and once at the end.

    What cannot be sent is not kept: the next export has the counters as they are then. One line in the log says that
    sending fails, one that it works again. `began` is when the counters were 0 (Unix seconds).
    """

    settings: OtlpSettings
    collect: Callable[[], Iterable[Metric]]
    clock: Callable[[], float] = time.time
    began: float | None = None
    _start_ns: int = field(init=False)
    _problem: str = ""

    def __post_init__(self) -> None:
        self._start_ns = int((self.clock() if self.began is None else self.began) * 1e9)

    async def run(self) -> None:
        """Until cancelled."""
        # By a name that a proxy of the environment may be meant for, unlike the platform's and the sinks' own.
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
        async with aiohttp.ClientSession(timeout=timeout, trust_env=True) as session:
            try:
                while True:
                    await asyncio.sleep(self.settings.interval)
                    self._tell(await self._export(session))
            finally:
                await self._last(session)

    async def _last(self, session: aiohttp.ClientSession) -> None:
        try:
            async with asyncio.timeout(LAST_S):
                await self._export(session)
        except TimeoutError:
            log.warning("the last metrics could not be sent over OTLP in time")

    async def _export(self, session: aiohttp.ClientSession) -> str:
        """Send everything as it is now; what is wrong, or nothing."""
        body = await asyncio.to_thread(self._body)
        headers = {name: value.reveal() for name, value in self.settings.headers.items()}
        headers |= {"Content-Type": "application/x-protobuf", "Content-Encoding": "gzip"}
        try:
            async with session.post(
                address(self.settings.endpoint), data=body, headers=headers, allow_redirects=False
            ) as answer:
                said = await answer.content.read(_LARGEST)
        except (aiohttp.ClientError, OSError) as error:  # TimeoutError is an OSError
            return f"cannot be reached: {error.__cause__ or error or type(error).__name__}"
        return _refusal(said) if answer.status == 200 else f"answered HTTP {answer.status}"

    def _body(self) -> bytes:
        """Made in a thread: it takes milliseconds. What makes it is loaded here, by who exports alone."""
        from shipper.telemetry.otlp_message import Span, message

        span = Span(self._start_ns, int(self.clock() * 1e9))
        return gzip.compress(message(self.collect(), resource(), __version__, span), compresslevel=1)

    def _tell(self, problem: str) -> None:
        if problem and not self._problem:
            log.warning(
                "metrics cannot be sent over OTLP, the next ones are tried: %s %s",
                self.settings.endpoint,
                problem,
            )
        elif self._problem and not problem:
            log.info("metrics are sent over OTLP again", extra={"endpoint": self.settings.endpoint})
        self._problem = problem


def address(endpoint: str) -> str:
    """Where the metrics go."""
    base = endpoint.rstrip("/")
    return base if base.endswith(PATH) else base + PATH


def resource() -> Mapping[str, str]:
    """Who sends them (https://opentelemetry.io/docs/specs/semconv/resource/). The host's name tells pods apart."""
    host = socket.gethostname()
    return {
        "service.name": "shipper",
        "service.version": __version__,
        "service.instance.id": host,
        "host.name": host,
    }


def _refusal(said: bytes) -> str:
    from google.protobuf.message import DecodeError
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse

    try:
        partial = ExportMetricsServiceResponse.FromString(said).partial_success
    except DecodeError:
        return ""  # it was taken, whatever else was said
    if partial.rejected_data_points:
        return f"rejects {partial.rejected_data_points} data points: {partial.error_message[:500]}"
    return ""
