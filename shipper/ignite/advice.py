"""What a person can do about an answer of the platform, for who shows one to a person."""

from __future__ import annotations

from typing import Final

from shipper.ignite.status import Code, Status

# To be read after the answer. What is not here passes by itself, or says what to do in its own message.
_BY_CODE: Final[dict[Code, str]] = {
    Code.UNAUTHENTICATED: "check ignite.auth: the token is another platform's, or is no longer good (one that is "
    "written down ends after some minutes; client_credentials and token_file renew theirs)",
    Code.PERMISSION_DENIED: "give the service account the role ignite.app-viewer on it",
    Code.NOT_FOUND: "check ignite.organization and the names in apps.include",
    Code.UNIMPLEMENTED: "check the port and the path of ignite.endpoint",
}


def advised(status: Status) -> str:
    """The status in words, and what to do where something can be done."""
    advice = _BY_CODE.get(status.code, "")
    # A message that names a setting has its advice with it.
    return f"{status}: {advice}" if advice and "ignite." not in status.message else str(status)
