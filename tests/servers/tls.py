"""Certificates for servers on loopback, from an authority made for the test run."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

import trustme


@dataclass(frozen=True, slots=True)
class Tls:
    """Files of a server's identity for 127.0.0.1 and localhost, and of the authority that a client must trust."""

    ca_file: Path
    cert_file: Path
    key_file: Path

    def server_context(self) -> ssl.SSLContext:
        """For a server in this process."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.cert_file, self.key_file)
        return context


def make_tls(directory: Path) -> Tls:
    """A new authority and an identity signed by it, as files in `directory`."""
    authority = trustme.CA()
    identity = authority.issue_cert("127.0.0.1", "localhost")
    tls = Tls(directory / "ca.pem", directory / "cert.pem", directory / "key.pem")
    authority.cert_pem.write_to_path(str(tls.ca_file))
    identity.private_key_pem.write_to_path(str(tls.key_file))
    tls.cert_file.write_bytes(b"".join(blob.bytes() for blob in identity.cert_chain_pems))
    return tls
