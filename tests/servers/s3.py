"""S3 servers on loopback: moto over HTTP and HTTPS, and versitygw, which checks signatures and digests.

versitygw is one Go program over a folder. This installs it:
`GOBIN=<folder> go install github.com/versity/versitygw/cmd/versitygw@v1.8.0`
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from shipper.sinks.s3.options import S3Options
from shipper.sinks.s3.sink import S3Sink
from tests.servers.process import free_port, running
from tests.servers.tls import Tls

ACCESS_KEY, SECRET_KEY, REGION = "test-access-key", "test-secret-key", "eu-central-1"


@dataclass
class Store:
    """An S3 server and how to talk to it."""

    endpoint_url: str
    ca_file: Path | None = None

    @cached_property
    def client(self) -> Any:
        """A synchronous client, to prepare and to look."""
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint_url,
            verify=str(self.ca_file) if self.ca_file else None,
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
            region_name=REGION,
            config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}),
        )

    def make_bucket(self, bucket: str) -> None:
        """Make an empty bucket."""
        self.client.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})

    def objects(self, bucket: str) -> dict[str, bytes]:
        """Everything in the bucket."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        keys = [item["Key"] for page in pages for item in page.get("Contents", ())]
        return {key: self.client.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys}

    def head(self, bucket: str, key: str) -> dict[str, Any]:
        """What HeadObject says."""
        answer: dict[str, Any] = self.client.head_object(Bucket=bucket, Key=key)
        return answer

    def options(self, bucket: str, **changes: Any) -> S3Options:
        """Options of a sink for this store."""
        return S3Options(
            **{
                "bucket": bucket,
                "prefix": "ignite",
                "region": REGION,
                "endpoint_url": self.endpoint_url,
                "ca_file": self.ca_file,
                "access_key_id": ACCESS_KEY,
                "secret_access_key": SECRET_KEY,
                "timeout_s": 30.0,
                **changes,
            }
        )


@asynccontextmanager
async def opened(options: S3Options) -> AsyncIterator[S3Sink]:
    """A sink, open for as long as the block runs."""
    sink = S3Sink("archive", options)
    await sink.open()
    try:
        yield sink
    finally:
        await sink.aclose()


@contextmanager
def moto(directory: Path, tls: Tls | None = None) -> Iterator[Store]:
    """moto's server: fast and everywhere, but it checks neither signatures nor digests."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    if tls is not None:
        command += ["-c", str(tls.cert_file), "-k", str(tls.key_file)]
    scheme = "http" if tls is None else "https"
    with running(command, port, directory / f"moto-{scheme}.log", os.environ):
        yield Store(f"{scheme}://127.0.0.1:{port}", tls.ca_file if tls else None)


def find_versitygw() -> str | None:
    """The program: SHIPPER_TEST_VERSITYGW, else on the PATH."""
    return os.environ.get("SHIPPER_TEST_VERSITYGW") or shutil.which("versitygw")


@contextmanager
def versitygw(program: str, directory: Path) -> Iterator[Store]:
    """versitygw over a folder, with metadata in files: not every disk has extended attributes."""
    port = free_port()
    objects, metadata = directory / "objects", directory / "metadata"
    objects.mkdir()
    metadata.mkdir()
    command = [program, "--port", f"127.0.0.1:{port}", "--region", REGION]
    command += ["posix", "--sidecar", str(metadata), str(objects)]
    keys = {"ROOT_ACCESS_KEY": ACCESS_KEY, "ROOT_SECRET_KEY": SECRET_KEY}
    with running(command, port, directory / "versitygw.log", os.environ | keys):
        yield Store(f"http://127.0.0.1:{port}")
