"""Steps of courses: what becomes of replicas, their streams, listings, events and the buffer."""

from __future__ import annotations

import asyncio

from shipper.errors import BufferFull, BufferUnavailable
from shipper.ignite.status import Code
from tests.courses.collecting import World


async def some_lines(world: World) -> None:
    app = world.it.platform.app("checkout")
    for number in range(2):
        app.start(f"checkout-{number}").print(*(f"line {number} {n}" for n in range(12)), "twin", "twin")
    app.event("Started", "checkout-0")
    await world.it.until(lambda: world.it.following("checkout-0") and world.it.following("checkout-1"))


async def more_while_live(world: World) -> None:
    for replica in world.replicas:
        replica.print("live", "live too")
    world.it.platform.app("checkout").event("Pulled", "checkout-1")
    await asyncio.sleep(1.0)


async def the_buffer_is_full_then_away(world: World) -> None:
    world.it.durable.troubles += [
        BufferFull("full"),
        BufferUnavailable("no disk"),
        BufferUnavailable("no disk"),
    ]
    for replica in world.replicas:
        replica.print(*(f"while full {n}" for n in range(9)))
    await asyncio.sleep(2.0)
    world.it.durable.space.set()
    await asyncio.sleep(5.0)
    world.it.durable.space.set()


async def so_much_that_readers_are_held(world: World) -> None:
    world.it.durable.commit_s = 3.0
    app = world.it.platform.app("checkout")
    for _ in range(6):
        for replica in world.replicas:
            replica.print(*("x" * 1_000 + str(n) for n in range(30)))
        app.event("Noise")
        await asyncio.sleep(0.5)
    await asyncio.sleep(20.0)
    world.it.durable.commit_s = 0.005


async def readers_without_streams_are_held(world: World) -> None:
    refusal = world.it.platform.refuse("StreamAppLogs", Code.UNIMPLEMENTED)
    for replica in world.replicas:
        replica.cut()
    await asyncio.sleep(30.0)
    await under_load(world, 60.0)
    refusal.lift()


async def under_load(world: World, seconds: float) -> None:
    """Replicas print more than the buffer takes."""
    world.it.durable.commit_s = 9.0
    for _ in range(int(seconds)):
        for replica in world.replicas:
            replica.print("x" * 12_000)
        await asyncio.sleep(0.5)
        world.replicas[0].print("y" * 24_000)
        await asyncio.sleep(0.5)
    world.it.durable.commit_s = 0.005


async def streams_are_cut_while_readers_are_held(world: World) -> None:
    app = world.it.platform.app("checkout")
    world.it.durable.commit_s = 20.0
    for _ in range(2):
        world.replicas[0].print("x" * 60_000)
        await asyncio.sleep(0.5)
    for replica in world.replicas:
        replica.cut()
        replica.print("after the cut")
    for pipe in app.event_streams:
        pipe.cut()
    app.event("Held", "checkout-0")
    await asyncio.sleep(60.0)
    world.it.durable.commit_s = 0.005


async def streams_are_cut(world: World) -> None:
    app = world.it.platform.app("checkout")
    for replica in world.replicas:
        replica.cut()
    for pipe in app.event_streams:
        pipe.cut()
    app.event("Killing", "checkout-0")
    await asyncio.sleep(10.0)


async def streams_end_in_order(world: World) -> None:
    app = world.it.platform.app("checkout")
    for replica in world.replicas:
        for pipe in replica.streams:
            pipe.end()
        replica.streams.clear()
        replica.print("after the end")
    for pipe in app.event_streams:
        pipe.end()
    await asyncio.sleep(20.0)


async def streams_are_refused(world: World) -> None:
    platform = world.it.platform
    refusals = [
        platform.refuse(method, Code.UNIMPLEMENTED) for method in ("StreamAppLogs", "StreamAppEvents")
    ]
    app = platform.app("checkout")
    for replica in world.replicas:
        replica.cut()
        replica.print("without a stream")
    for pipe in app.event_streams:
        pipe.cut()
    app.event("Quiet", "checkout-1")
    await asyncio.sleep(120.0)
    for refusal in refusals:
        refusal.lift()


async def events_are_streamed_and_not_listed(world: World) -> None:
    refusal = world.it.platform.refuse("GetAppEvents", Code.UNIMPLEMENTED)
    for pipe in world.it.platform.app("checkout").event_streams:
        pipe.cut()
    await asyncio.sleep(60.0)
    for pipe in world.it.platform.app("checkout").event_streams:
        pipe.cut()
    world.it.platform.app("checkout").event("Streamed", "checkout-1")
    await asyncio.sleep(60.0)
    refusal.lift()
    await asyncio.sleep(8000.0)


async def a_stream_of_events_is_half_open(world: World) -> None:
    app = world.it.platform.app("checkout")
    for pipe in app.event_streams:
        pipe.stall()
    app.event("Silent", "checkout-0")
    await asyncio.sleep(120.0)


async def the_platform_is_slow_to_open(world: World) -> None:
    platform = world.it.platform
    slow = [platform.delay(method, 5.0) for method in ("StreamAppEvents", "StreamAppLogs", "GetAppLogs")]
    for pipe in platform.app("checkout").event_streams:
        pipe.cut()
    for replica in world.replicas:
        replica.cut()
        replica.print("slowly")
    await asyncio.sleep(90.0)
    for each in slow:
        each.lift()


async def recent_lines_are_few(world: World) -> None:
    """GetAppLogs takes no large limit, and cuts: which end has to be found out."""
    world.it.platform.logs_limit = 10
    world.it.platform.logs_refused_above = 1000
    await streams_are_refused(world)


async def pods_go_that_were_only_looked_at(world: World) -> None:
    refusal = world.it.platform.refuse("StreamAppLogs", Code.UNIMPLEMENTED)
    for replica in world.replicas:
        replica.cut()
    await asyncio.sleep(60.0)
    await world.caught_up()
    first, second = world.replicas
    first.gone()
    second.listed = False
    await asyncio.sleep(300.0)
    refusal.lift()


async def pods_go_whose_streams_were_cut(world: World) -> None:
    await world.caught_up()
    first, second = world.replicas
    for pipe in first.streams:
        pipe.end()
    first.streams.clear()
    first.listed = False
    second.listed = False
    await asyncio.sleep(12.0)
    second.cut(Code.NOT_FOUND)
    await asyncio.sleep(30.0)
    first.gone()
    second.gone()
    await asyncio.sleep(300.0)


async def many_replicas_are_silent(world: World) -> None:
    app = world.it.platform.app("checkout")
    for number in range(20):
        app.start(f"quiet-{number}").print("once")
    world.it.platform.delay("GetAppLogs", 2.0, times=60)
    world.it.platform.logs_limit = 1
    world.it.platform.logs_oldest = True
    for replica in world.replicas:
        replica.print("the oldest lines show nothing of this")
    await asyncio.sleep(150.0)


async def streams_are_half_open(world: World) -> None:
    world.it.platform.app("checkout")
    for replica in world.replicas:
        replica.print("before it stalls")
    await asyncio.sleep(1.0)
    for replica in world.replicas:
        replica.stall()
        replica.print(*(f"nobody brings {n}" for n in range(5)))
    await asyncio.sleep(300.0)


async def listings_fail_and_are_late(world: World) -> None:
    platform = world.it.platform
    refusals = [
        platform.refuse(method, Code.UNAVAILABLE, times=3)
        for method in ("ListAppReplicas", "ListApps", "GetAppEvents")
    ]
    slow = platform.delay("ListAppReplicas", 3.0, times=4)
    await asyncio.sleep(60.0)
    for refusal in [*refusals, slow]:
        refusal.lift()


async def a_listing_is_wrong(world: World) -> None:
    app = world.it.platform.app("checkout")
    app.answers.append([])
    for replica in world.replicas:
        for pipe in replica.streams:
            pipe.end()
        replica.streams.clear()
    await asyncio.sleep(30.0)


async def a_container_crashes(world: World) -> None:
    replica = world.replicas[0]
    replica.print("last words")
    await world.caught_up()
    replica.crash()
    await asyncio.sleep(20.0)
    replica.restart()
    replica.print("born again")
    await world.caught_up()


async def a_pod_goes(world: World) -> None:
    world.it.platform.app("checkout")
    await world.caught_up()
    replica = world.replicas[0]
    replica.listed = False
    replica.print("unlisted")
    await asyncio.sleep(10.0)
    world.it.platform.refuse("GetAppLogs", Code.UNAVAILABLE, times=3)
    await world.caught_up()
    replica.gone()
    await asyncio.sleep(120.0)


async def another_app_is_chosen(world: World) -> None:
    mailer = world.it.platform.app("mailer")
    mailer.start("mailer-0").print("hello")
    await world.caught_up()
    await asyncio.sleep(30.0)
    world.it.durable.commit_s = 2.0
    for replica in world.replicas:
        replica.print("just before it is let go")
    await asyncio.sleep(0.1)
    world.it.select(["mailer"], events=True)
    await asyncio.sleep(30.0)
    world.it.durable.commit_s = 0.005
    world.it.select(["*"], events=True)
    await world.caught_up()


async def work_goes_on_until_the_end(world: World) -> None:
    for replica in world.replicas:
        if replica.listed and not replica.ended:
            replica.print("nearly the last")
    await asyncio.sleep(0.01)
