"""Why the platform did not answer, and what to do about it."""

from __future__ import annotations

from difflib import get_close_matches

from shipper.errors import PlatformError
from shipper.ignite.port import Platform
from shipper.ignite.status import CallFailed, Code, Status
from shipper.model import App


class NotShown(PlatformError):
    """What was asked for cannot be shown; the message says what to do."""


async def explained(failure: CallFailed, platform: Platform, app: App, replica_id: str = "") -> NotShown:
    """The failure of a call about an app (and one replica of it) in words that help."""
    status = failure.status
    match status.code:
        case Code.NOT_FOUND if replica_id:
            return NotShown(
                f"{status.code.name}: replica {replica_id} does not run; `shipper ignite replicas {app.name}` shows "
                "which do"
            )
        case Code.NOT_FOUND:
            return NotShown(f"{status}{await _others(platform, app)}")
        case Code.UNAUTHENTICATED:
            return NotShown(f"{status}: the token is refused, look at ignite.auth")
        case Code.PERMISSION_DENIED:
            return NotShown(f"{status}: give the service account the role ignite.app-viewer on {app}")
        case Code.UNIMPLEMENTED:
            return NotShown(f"{status}: the platform does not offer this at this endpoint")
    return NotShown(str(status))


def ended(status: Status) -> str:
    """How a stream ended, for a notice."""
    return "in order" if status.code is Code.OK else str(status)


async def _others(platform: Platform, app: App) -> str:
    """Apps that may be meant."""
    try:
        names = await platform.list_apps()
    except CallFailed:
        return ""
    if app.name in names:
        return ""
    near = get_close_matches(app.name, names, n=1)
    if near:
        return f"; did you mean {near[0]}?"
    return f"; there are {', '.join(sorted(names)[:10])}" if names else "; this organization has no apps"
