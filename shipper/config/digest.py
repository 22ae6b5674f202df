"""A digest of a configuration, which tells whether two daemons have the same one."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shipper.config.settings import Settings


def digest(settings: Settings) -> str:
    """64 hexadecimal digits, made of every setting's effective value; secrets are left out, so that it can be shown."""
    said = settings.as_data()
    return sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
