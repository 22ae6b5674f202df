"""Every error that shipper raises on purpose.

    ShipperError
    ├── ConfigError            the configuration cannot be used; carries all problems at once
    ├── BufferError
    │   ├── BufferLocked       another process holds the buffer
    │   ├── BufferFull         a commit does not fit in `max_size`
    │   └── BufferUnavailable  the disk refuses: full, read-only, I/O error
    ├── ArchiveDamaged         bytes of the archive are not what they claim to be
    └── PlatformError          what Ignite (or something on the way to it) answered
        └── ImplausibleAnswer  the bundled .proto does not fit this server

Expected outcomes are values (see `sinks.port.Outcome`), not errors. Messages say what happened, to what, and what the
daemon does next; a secret never reaches them.
"""

from __future__ import annotations


class ShipperError(Exception):
    """Root of the tree."""


class BufferError(ShipperError):  # noqa: A001 - the room's name; nobody needs the builtin here
    """The durable buffer could not do what was asked."""


class BufferLocked(BufferError):
    """Another process holds the buffer; the message names it."""


class BufferFull(BufferError):
    """A commit does not fit within `max_size`. Nothing was written; try again when a sink has acknowledged."""


class BufferUnavailable(BufferError):
    """The disk refuses (full, read-only, I/O error). Nothing was written; try again."""


class ArchiveDamaged(ShipperError):
    """Bytes of the archive are not what they claim to be: cut, altered, not of the codec, not JSON, too large."""


class PlatformError(ShipperError):
    """Ignite answered something that cannot be used."""


class ImplausibleAnswer(PlatformError):
    """Decoded values make no sense: the descriptors in use are not the server's."""
