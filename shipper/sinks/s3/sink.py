"""The sink that puts each batch into a bucket as one object."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any, Final

from botocore.exceptions import ClientError

from shipper.archive.layout import object_key
from shipper.errors import ArchiveDamaged
from shipper.model import Batch, Codec
from shipper.sinks.body import body_of
from shipper.sinks.budget import ByteBudget
from shipper.sinks.port import Delivered, Outcome, Parked, Rejected, Retry
from shipper.sinks.s3.answers import Target
from shipper.sinks.s3.connection import Connection, is_aws
from shipper.sinks.s3.failures import answer_of, outcome_of_failure
from shipper.sinks.s3.options import S3Options
from shipper.sinks.s3.request import Body, make_body, owner_argument, put_arguments, same_object

_LOG: Final = logging.getLogger("shipper.sinks")
_CHECK_SECONDS: Final = 10.0

# How much larger a batch may get when it is packed anew, for the memory budget: log text shrinks some
# tenfold.
_GROWTH: Final = {Codec.NONE: 10, Codec.GZIP: 2, Codec.ZSTD: 2}


class S3Sink:
    """Puts each batch under its key with one PutObject. Implements `sinks.port.Sink`.

    The key and the bytes are the batch's own, so a repeated upload ends in the same object. Nothing here
    tries twice (the SDK's retries are off), and each upload ends within the time limit whatever the store
    does. Of the bodies that are being uploaded at most `options.memory` bytes are in memory, or one that
    alone is larger; further uploads wait for room.
    """

    def __init__(self, name: str, options: S3Options) -> None:
        self.name = name
        self.concurrency = options.concurrency
        self._options: Final = options
        self._connection: Final = Connection(options)
        self._budget: Final = ByteBudget(options.memory)
        self._target: Final = Target(
            bucket=options.bucket,
            region=options.region,
            endpoint=options.endpoint_url,
            own_credentials=options.access_key_id is not None,
        )

    async def open(self) -> None:
        """Make the client. Credentials that are missing are only warned of, as they may still come."""
        if self._options.ca_file is not None:  # a wrong path is said now, and not with each batch
            await asyncio.to_thread(self._options.ca_file.read_bytes)
        try:
            async with asyncio.timeout(_CHECK_SECONDS):  # looking for credentials may ask a metadata service
                await self._connection.client()
        except Exception as error:
            failed = outcome_of_failure(error, self._target).reason
            _LOG.warning("%s; tried again with each batch", failed, extra={"sink": self.name})

    async def send(self, batch: Batch, frames: Sequence[bytes]) -> Outcome:
        """Upload the batch; see the port."""
        try:
            # Waiting for room needs no limit of its own: each upload that is waited for has one.
            async with self._budget.hold(self._size(batch)), asyncio.timeout(self._options.timeout_s):
                return await self._upload(batch, frames)
        except TimeoutError:
            limit = f"{self._options.timeout_s:g} s"
            return Retry(
                f"{self._target} did not take batch {batch.name} ({batch.size} bytes) within {limit}"
            )
        except ArchiveDamaged as error:
            return Rejected(
                f"batch {batch.name} cannot be packed as {self._options.compression.value}: {error}"
            )
        except Exception as error:
            return outcome_of_failure(error, self._target)

    async def check(self) -> Outcome:
        """Ask for the bucket's head. Nothing is written, so whether writing is allowed shows with the first batch."""
        try:
            async with asyncio.timeout(_CHECK_SECONDS):
                return await self._check()
        except TimeoutError:
            return Retry(f"{self._target} did not answer within {_CHECK_SECONDS:.0f} s")
        except Exception as error:
            return outcome_of_failure(error, self._target)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._connection.aclose()

    def _size(self, batch: Batch) -> int:
        codec = self._options.compression
        return batch.size if batch.codec is codec else batch.size * _GROWTH[codec]

    async def _upload(self, batch: Batch, frames: Sequence[bytes]) -> Outcome:
        options = self._options
        key = object_key(options.prefix, batch.partition, batch.name, options.compression)
        body = await asyncio.to_thread(lambda: make_body(body_of(batch, frames, options.compression)))
        client = await self._connection.client()
        try:
            answer = await client.put_object(**put_arguments(options, key, body, on_aws=is_aws(client)))
        except ClientError as error:
            if answer_of(error).status != 412:
                raise
            return await self._compare(client, key, body)
        # Every store names what it has stored; a captive portal or a wrong port does not.
        if not answer.get("ETag"):
            return Retry(f"{self._target} answered 200 without an ETag: is it an S3 store?")
        return Delivered()

    async def _compare(self, client: Any, key: str, body: Body) -> Outcome:
        """Something is under the key: our own object, if an upload was taken and its answer lost."""
        try:
            head = await client.head_object(
                Bucket=self._options.bucket, Key=key, **owner_argument(self._options)
            )
        except ClientError as error:
            if answer_of(error).status == 404:
                return Retry(f"{key} in {self._target} was there and is gone again")
            if answer_of(error).status == 403:
                return Parked(
                    f"{key} exists in {self._target} and may not be looked at: `if_none_match` needs s3:GetObject too"
                )
            raise
        if same_object(head, body):
            return Delivered("it was there already")
        return Parked(
            f"{key} exists in {self._target} with other content: have two daemons copies of one buffer (a cloned or"
            " restored volume)? Nothing was overwritten; give one of them a new buffer"
        )

    async def _check(self) -> Outcome:
        client = await self._connection.client()
        bucket, owner = self._options.bucket, owner_argument(self._options)
        untested = (
            "whether objects may be put (and encrypted) shows with the first batch, as a check writes nothing"
        )
        try:
            head = await client.head_bucket(Bucket=bucket, **owner)
        except ClientError as error:
            if answer_of(error).status not in (400, 403, 404):
                raise
        else:
            return self._right_region(head, untested)
        # The answer to a HEAD has no body and does not say why. A GET does.
        try:
            await client.list_objects_v2(Bucket=bucket, MaxKeys=1, Prefix=self._options.prefix, **owner)
        except ClientError as error:
            if answer_of(error).code != "AccessDenied":
                raise
            return Delivered(
                f"{self._target} answers and knows the credentials, which may not list it; {untested}"
            )
        return Delivered(f"{self._target} answers; {untested}")

    def _right_region(self, head: dict[str, Any], untested: str) -> Outcome:
        found, told = head.get("BucketRegion"), self._options.region
        if found and told and self._options.endpoint_url is None and found != told:
            return Delivered(
                f"{self._target} is in {found}: set `region` to that, each upload goes by {told} now; {untested}"
            )
        return Delivered(f"{self._target} answers; {untested}")
