"""What goes wrong below an answer, as statuses whose messages say what to do."""

from __future__ import annotations

import socket
import ssl
from typing import Final

from shipper.ignite.http2.frames import ErrorCode
from shipper.ignite.status import Code, Status, from_reset
from shipper.ignite.transport import NoHttp, NotTaken, NotUnderstood, StreamReset, TransportError, tidy

_ISSUER: Final = (
    "the server's certificate is not signed by a trusted authority: name that authority's PEM file in "
    "ignite.tls.ca_file"
)
_NAME: Final = (
    "the server's certificate is for another name: set ignite.tls.server_name, or the endpoint to that name"
)
_CERTIFICATE: Final = {  # by X509_V_ERR_ (https://docs.openssl.org/3.0/man3/X509_STORE_CTX_get_error/)
    2: _ISSUER,  # UNABLE_TO_GET_ISSUER_CERT
    9: "the server's certificate is not valid yet, or this machine's clock is wrong",
    10: "the server's certificate has expired, or this machine's clock is wrong",
    18: _ISSUER,  # DEPTH_ZERO_SELF_SIGNED_CERT
    19: _ISSUER,  # SELF_SIGNED_CERT_IN_CHAIN
    20: _ISSUER,  # UNABLE_TO_GET_ISSUER_CERT_LOCALLY
    21: _ISSUER,  # UNABLE_TO_VERIFY_LEAF_SIGNATURE
    62: _NAME,  # HOSTNAME_MISMATCH
    64: _NAME,  # IP_ADDRESS_MISMATCH
}
_TLS: Final = {  # by a word in OpenSSL's reason
    "WRONG_VERSION_NUMBER": "what listens there does not speak TLS: write grpc:// (or http://) for plaintext",
    "CERTIFICATE_REQUIRED": "the server wants a client certificate: set ignite.tls.cert_file and key_file",
    "NO_APPLICATION_PROTOCOL": "the server does not speak HTTP/2 over TLS",
}
_NOT_UNDERSTOOD: Final = {
    "https": "it must speak HTTP/2, and if it wants a client certificate, set ignite.tls.cert_file and key_file",
    "http": "it must speak HTTP/2, and if it speaks TLS, write grpcs://",
}

_NO_HTTP: Final = (
    "it must speak HTTP/1.1: if it speaks TLS, write https://, and if it is gRPC's port, grpc://"
)


def status_of(error: TransportError, base_url: str, *, known: bool) -> Status:
    """The status that a transport error amounts to. `known` says that the server has answered before; else what is
    wrong is perhaps the configuration.
    """
    reason = tidy(str(error)) or type(error).__name__
    if isinstance(error, StreamReset):
        return Status(from_reset(error.code), f"{base_url} {reason}")
    advice = _advice(error.__cause__)
    if not advice and not known and isinstance(error, NotUnderstood):
        advice = _NO_HTTP if isinstance(error, NoHttp) else _NOT_UNDERSTOOD[base_url.partition(":")[0]]
    return Status(Code.UNAVAILABLE, f"{base_url}: {advice and f'{advice}: '}{reason}", genuine=False)


def refused(error: TransportError) -> bool:
    """Whether a request was refused before it was looked at, so that it may be sent again on another connection
    (RFC 9113 section 8.7).
    """
    return isinstance(error, NotTaken) or full(error)


def full(error: TransportError) -> bool:
    """Whether it was refused because the connection carries as many as the server allows."""
    return isinstance(error, StreamReset) and error.code == ErrorCode.REFUSED_STREAM


def _advice(cause: BaseException | None) -> str:
    match cause:
        case ssl.SSLCertVerificationError():
            return _CERTIFICATE.get(cause.verify_code, "")
        case ssl.SSLError():
            return next((advice for word, advice in _TLS.items() if word in (cause.reason or "")), "")
        case socket.gaierror():
            return "the host of ignite.endpoint has no address: check its spelling, and this machine's DNS"
        case ConnectionRefusedError():
            return "nobody listens there: check host and port of ignite.endpoint, and firewalls between"
    return ""
