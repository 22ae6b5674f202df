"""What no single setting can know: settings that do not fit each other, and files that are missing or open to everyone.

Each check takes the sections that are valid on their own, so that one bad section hides nothing about the others.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path as FilePath
from urllib.parse import urlsplit

from shipper.config.datadog import DatadogSettings
from shipper.config.destinations import DirectorySettings, S3Settings, SinkSettings, StdoutSettings
from shipper.config.document import Finding
from shipper.config.endpoint import is_loopback
from shipper.config.paths import Path
from shipper.config.platform import ClientCredentials, CollectSettings, IgniteSettings, NoAuth, TokenFile
from shipper.config.sentry import SentrySettings
from shipper.config.settings import BufferSettings
from shipper.errors import Severity


def check_ignite(ignite: IgniteSettings) -> Iterator[Finding]:
    """Tokens on the wire in clear text, TLS settings without TLS, files that are not there."""
    endpoint, auth = ignite.endpoint, ignite.auth
    if isinstance(auth, ClientCredentials):
        token_url = urlsplit(auth.token_url)
        if token_url.scheme.lower() == "http" and not is_loopback(token_url.hostname or ""):
            message = "is http, so the client secret crosses the network in clear text; use https"
            yield _warning(("ignite", "auth", "token_url"), message)
    if not endpoint.tls and not endpoint.loopback and (ignite.headers or not isinstance(auth, NoAuth)):
        message = "is grpc:// (plaintext), so the token crosses the network in clear text; use grpcs://"
        yield _warning(("ignite", "endpoint"), message)
    if not endpoint.tls:
        for name in ("ca_file", "cert_file", "server_name"):
            if getattr(ignite.tls, name) is not None:
                yield _warning(
                    ("ignite", "tls", name), "has no effect, because the endpoint is grpc:// (plaintext)"
                )
    if isinstance(auth, TokenFile):
        path: Path = ("ignite", "auth", "path")
        if not auth.path.exists():
            yield _warning(path, "there is no such file yet; no call will be accepted until there is")
        else:
            yield from check_private(path, auth.path)
    yield from _check_tls_files(ignite)


def _check_tls_files(ignite: IgniteSettings) -> Iterator[Finding]:
    for name in ("ca_file", "cert_file", "key_file"):
        file: FilePath | None = getattr(ignite.tls, name)
        path: Path = ("ignite", "tls", name)
        if file is None:
            continue
        if not file.is_file():
            yield Finding(path, "there is no such file; the daemon could not connect")
        elif not os.access(file, os.R_OK):
            yield Finding(path, "this file cannot be read by the user that runs this")
        elif name == "key_file":
            yield from check_private(path, file)


def check_collect(collect: CollectSettings) -> Iterator[Finding]:
    """What is asked for and turned off."""
    if collect.build_ids and not collect.builds:
        yield _warning(("collect", "build_ids"), "has no effect, because collect.builds is false")


def check_storage(buffer: BufferSettings | None, sinks: Mapping[str, SinkSettings]) -> Iterator[Finding]:
    """Two things that would write to the same place."""
    taken: dict[tuple[str, ...], str] = {}
    if buffer is not None:
        taken[("directory", os.path.realpath(buffer.path))] = "the buffer"
    for name, sink in sinks.items():
        # One account or project may be written to under several names.
        if isinstance(sink, (DatadogSettings, SentrySettings)):
            continue
        place, key = _destination(sink)
        if place in taken:
            yield Finding(
                ("sinks", name, key), f"{taken[place]} writes to this place too; each needs its own"
            )
        else:
            taken[place] = f"the sink {name}"


def check_clear_text(sinks: Mapping[str, SinkSettings]) -> Iterator[Finding]:
    """Records on the wire in clear text."""
    for name, sink in sinks.items():
        for key, address in _carries_key(sink):
            url = urlsplit(address)
            if url.scheme == "http" and not is_loopback(url.hostname or ""):
                message = "is http, so lines and the key cross the network in clear text; use https"
                yield _warning(("sinks", name, key), message)


def _carries_key(sink: SinkSettings) -> Iterator[tuple[str, str]]:
    """The setting with the address that gets a key as it is. S3's signs, and is often a store beside the daemon."""
    if isinstance(sink, SentrySettings):
        yield "dsn", sink.dsn.reveal()
    if isinstance(sink, DatadogSettings) and sink.endpoint_url:
        yield "endpoint_url", sink.endpoint_url


def check_unalterable(file: FilePath) -> Iterator[Finding]:
    """Warn about a configuration that every user of the machine can change: it says who gets the records."""
    try:
        mode = file.stat().st_mode
    except OSError:
        return
    if stat.S_ISREG(mode) and mode & stat.S_IWOTH:
        yield _warning(
            (), f"every user of this machine can change {str(file)!a}; take that right away (chmod o-w)"
        )


def check_private(path: Path, file: FilePath) -> Iterator[Finding]:
    """Warn about a secret that every user of the machine can read."""
    try:
        mode = file.stat().st_mode
    except OSError:
        return
    if stat.S_ISREG(mode) and mode & stat.S_IROTH:
        message = (
            f"every user of this machine can read {str(file)!a}; take that right away "
            "(chmod o-r; in Kubernetes defaultMode: 0440 with an fsGroup)"
        )
        yield _warning(path, message)


def _destination(sink: S3Settings | DirectorySettings | StdoutSettings) -> tuple[tuple[str, ...], str]:
    """What identifies the place that a sink writes to, and the setting that chooses it."""
    match sink:
        case S3Settings():
            return ("s3", (sink.endpoint_url or "").rstrip("/").lower(), sink.bucket, sink.prefix), "prefix"
        case DirectorySettings():
            return ("directory", os.path.realpath(sink.path)), "path"
        case StdoutSettings():
            return ("stdout",), "type"


def _warning(path: Path, message: str) -> Finding:
    return Finding(path, message, Severity.WARNING)
