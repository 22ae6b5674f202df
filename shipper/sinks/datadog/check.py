"""Whether Datadog knows the key and takes logs, for `shipper check --connect`; nothing is written there.

The key is validated by Datadog's own client, in a thread: it knows no event loop. What it would do by itself is
turned off: it tries again, follows redirects (with the key), and takes settings from the environment.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import orjson

from shipper.sinks.answers import answer_of, failure_of
from shipper.sinks.datadog.body import Body, Destination
from shipper.sinks.datadog.intake import USER_AGENT, Intake, advice, place
from shipper.sinks.datadog.options import DatadogOptions
from shipper.sinks.port import (
    Answer,
    Delivered,
    Dropped,
    Malformed,
    Outcome,
    Parked,
    Rejected,
    Retry,
    TooLarge,
)

_CHECK_S: Final = 10.0
_ATTEMPT_S: Final = 8.0  # of the thread, which nobody can cancel

# No log is in it. What the intake says of it differs (202, 400), but it asks for the key first.
_NO_LOGS: Final = Body(Destination.LOGS, b"[]")


async def check(options: DatadogOptions, intake: Intake) -> Outcome:
    """The key by the API, then the way to the logs intake, which is another host."""
    try:
        async with asyncio.timeout(_CHECK_S):
            answer = await asyncio.to_thread(validated, options)
    except TimeoutError:
        answer = Retry(f"{place(options.api)} did not answer within {_CHECK_S:.0f} s")
    if not isinstance(answer, Delivered):
        return _as_outcome(answer)
    probed = await intake.post(_NO_LOGS, _CHECK_S)
    if isinstance(probed, (Delivered, Malformed)):
        return Delivered(f"{place(options.api)} knows the key, {place(options.intake)} answers")
    return _as_outcome(probed)


def validated(options: DatadogOptions) -> Answer:
    """What Datadog says about the key. Blocks; never raises."""
    # 4 MB and some 40 ms, which only this command spends
    from datadog_api_client import ApiClient
    from datadog_api_client.exceptions import ApiException
    from datadog_api_client.v1.api.authentication_api import AuthenticationApi

    try:
        with ApiClient(_configuration(options)) as client:
            client.user_agent = USER_AGENT
            found = AuthenticationApi(client).validate()
    except ApiException as error:
        if not error.status:  # no answer: the client says so for what went wrong with TLS
            return failure_of(_cause(error), place(options.api))
        return answer_of(error.status, error.headers, orjson.dumps(error.body), advice=advice(options))
    except Exception as error:
        return failure_of(_cause(error), place(options.api))
    if not found.get("valid"):
        return Parked(f"{place(options.api)} does not know the key: {advice(options)[403]}")
    return Delivered()


def _configuration(options: DatadogOptions) -> Any:
    from datadog_api_client import Configuration
    from urllib3 import Retry as Retries

    configuration = Configuration(
        host=options.api,  # in place of DD_SITE
        api_key={"apiKeyAuth": options.api_key},
        request_timeout=_ATTEMPT_S,
        retry_policy=Retries(0, redirect=False, raise_on_redirect=False),
        ssl_ca_cert=None if options.ca_file is None else str(options.ca_file),
    )
    where = urlsplit(options.api)
    if not proxy_bypass(where.netloc):
        configuration.proxy = getproxies().get(where.scheme)
    return configuration


def _cause(error: BaseException) -> BaseException:
    """What really happened: the client and urllib3 wrap it, each in its own way."""
    inner = [error.__context__, getattr(error, "reason", None), *error.args]
    deeper = next((each for each in inner if isinstance(each, BaseException)), None)
    return error if deeper is None or isinstance(error, OSError) else _cause(deeper)


def _as_outcome(answer: Answer) -> Outcome:
    return Rejected(answer.reason) if isinstance(answer, (TooLarge, Malformed, Dropped)) else answer
