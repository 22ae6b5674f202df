"""The TLS of the connections to the platform: whom they trust, who they are, and which HTTP they speak."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING

from shipper.errors import ConfigError, Problem
from shipper.ignite.http2.connection import PROTOCOL

if TYPE_CHECKING:
    from shipper.config.platform import Tls


def client_context(tls: Tls, protocols: Sequence[str] = (PROTOCOL,)) -> ssl.SSLContext:
    """For every connection; `protocols` are offered in this order (ALPN). Raises ConfigError where the files cannot be
    used; they are read once.
    """
    if tls.server_name is not None and _is_ip(tls.server_name):
        raise _problem("server_name", "is an IP address; name the endpoint by it instead")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # checks certificates and names
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(list(protocols))
    _trust(context, tls.ca_file)
    if tls.cert_file is not None and tls.key_file is not None:
        _identify(context, tls.cert_file, tls.key_file)
    return context


def _trust(context: ssl.SSLContext, ca_file: Path | None) -> None:
    if ca_file is None:
        context.load_default_certs()
        return
    authorities = _read("ca_file", ca_file)
    try:
        context.load_verify_locations(cadata=authorities.decode("ascii", "replace"))
    except (ssl.SSLError, ValueError) as error:
        raise _problem(
            "ca_file", f"{ca_file} holds no certificates that can be used: {_reason(error)}"
        ) from error


def _identify(context: ssl.SSLContext, cert_file: Path, key_file: Path) -> None:
    _read("cert_file", cert_file)
    _read("key_file", key_file)
    try:
        context.load_cert_chain(
            cert_file, key_file, password=lambda: ""
        )  # else OpenSSL asks a terminal for it
    except (ssl.SSLError, ValueError) as error:
        problem = (
            f"{cert_file} and {key_file} are no certificate with its (unencrypted) key: {_reason(error)}"
        )
        raise _problem("cert_file", problem) from error


def _read(setting: str, file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise _problem(setting, f"{file} cannot be read: {error.strerror}") from error


def _reason(error: Exception) -> str:
    return str(getattr(error, "reason", None) or error)


def _problem(setting: str, message: str) -> ConfigError:
    return ConfigError((Problem("configuration", 0, 0, f"ignite.tls.{setting}", message),))


def _is_ip(host: str) -> bool:
    try:
        ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True
