"""Which routes the gateway is known to serve: what tells a route that is not there from a thing that is not there."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from shipper.ignite.status import CallFailed, Code


@dataclass(slots=True)
class Served:
    """Both are a 404, and often nothing in its body tells them apart. A route that has answered once is served."""

    _calls: set[str] = field(default_factory=set)

    def note(self, call: str) -> None:
        """A call was answered."""
        self._calls.add(call)

    def explain(self, call: str, failure: CallFailed) -> CallFailed:
        """How a call failed. NOT_FOUND that no gRPC server said is UNIMPLEMENTED, unless the route is known."""
        status = failure.status
        if status.code is not Code.NOT_FOUND or status.genuine:
            return failure
        if call in self._calls:
            return CallFailed(replace(status, genuine=True))
        message = (
            f"{status.message} ({call}: the gateway has no such route, or what was asked for is not there)"
        )
        return CallFailed(replace(status, code=Code.UNIMPLEMENTED, message=message))
