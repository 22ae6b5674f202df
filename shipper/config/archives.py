"""Which types of sinks take batches as they lie in the buffer: archives, and nobody's account somewhere."""

from __future__ import annotations

from typing import Final

ARCHIVES: Final = frozenset(("s3", "directory", "stdout"))
