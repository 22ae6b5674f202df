"""What a collector goes through in a course: one platform, one buffer, and the lives of the daemon between them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from tests.fakes.builds import FakeBuilds
from tests.fakes.collection import Collection, wall_ms
from tests.fakes.platform import FakeReplica

Step = Callable[["World"], Awaitable[None]]


@dataclass
class World:
    """One platform and one buffer, over two lives of the daemon; `at` is the step that comes next."""

    steps: Sequence[Step]
    it: Collection = field(
        default_factory=lambda: Collection(
            events=True, builds=FakeBuilds(wall_ms), named_builds={"mailer": ["bld_named"]}
        )
    )
    at: int = 0
    ended: bool = False

    @property
    def builds(self) -> FakeBuilds:
        assert self.it.builds is not None
        return self.it.builds

    @property
    def replicas(self) -> list[FakeReplica]:
        return list(self.it.platform.app("checkout").replicas.values())

    async def caught_up(self) -> None:
        """Everything printed is committed."""
        for _ in range(600):
            if self.it.durable.log_lines >= len(self.it.platform.printed):
                return
            await asyncio.sleep(0.3)
        raise AssertionError("it never catches up")

    def _calm(self) -> None:
        """Lift what a step that was cut left behind."""
        durable, platform = self.it.durable, self.it.platform
        durable.commit_s, durable.troubles = 0.005, []
        platform.refusals.clear()
        self.builds.refusals.clear()
        self.builds.slow_s = 0.001
        for app in platform.apps.values():
            app.answers.clear()

    async def live(self) -> None:
        """One life of the daemon, through the steps that are left, to an orderly end."""
        self._calm()
        self.it.start()
        try:
            while self.at < len(self.steps):
                self.at += 1
                await self.steps[self.at - 1](self)
            await self.caught_up()
            if not self.ended:
                self.ended = True
                for replica in self.replicas:
                    if replica.listed and not replica.ended:
                        replica.print("while it drains")
                await asyncio.sleep(0.01)
            await self.it.stop()
        except BaseException:
            await self.it.kill()
            raise
