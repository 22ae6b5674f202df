"""Steps of courses: what becomes of builds and compiles."""

from __future__ import annotations

import asyncio

from shipper.ignite.status import Code, Status
from tests.courses.collecting import World
from tests.courses.streams import under_load


async def a_compile_is_confirmed_while_readers_are_held(world: World) -> None:
    compiled = world.builds.compile("checkout")
    compiled.write("one line without an end")
    compiled.end()
    while not world.builds.calls["StreamCompileLogs"]:
        await asyncio.sleep(0.5)
    await asyncio.sleep(0.5)
    world.it.durable.commit_s = 30.0
    for _ in range(2):
        world.replicas[0].print("x" * 60_000)
        await asyncio.sleep(0.5)
    await asyncio.sleep(60.0)
    world.it.durable.commit_s = 0.005


async def a_compile_is_forgotten_while_readers_are_held(world: World) -> None:
    compiled = world.builds.compile("checkout")
    compiled.kept = False
    compiled.write("once\nand then forgotten")
    compiled.end()
    while not world.builds.calls["StreamCompileLogs"]:
        await asyncio.sleep(0.5)
    await asyncio.sleep(1.0)
    compiled.streamed = False
    await asyncio.sleep(270.0)
    await under_load(world, 120.0)


async def builds_are_read_while_readers_are_held(world: World) -> None:
    """A compile over its stream, one over its log, a build's log; all larger than what may wait."""
    line = b"z" * 900 + b"\n"
    world.it.durable.commit_s = 4.0
    compiled = world.builds.compile("checkout")
    logged = world.builds.build("bld_named")
    for build in (compiled, logged):
        build.chunk = 10_000
        for _ in range(120):
            build.write(line)
        build.write("the end")
    world.it.platform.app("mailer").start("mailer-0").print("hello")
    await asyncio.sleep(90.0)
    for build in (compiled, logged):
        build.write(line + b"the very end")
    compiled.end()
    await asyncio.sleep(300.0)
    world.it.durable.commit_s = 0.005


async def compiles_are_not_streamed(world: World) -> None:
    world.builds.refusals["StreamCompileLogs"] = Status(Code.UNIMPLEMENTED, "no such call")
    world.builds.refusals["ListBuilds"] = Status(Code.UNAVAILABLE, "not now")
    compiled = world.builds.compile("checkout")
    compiled.write("by its log\n")
    await asyncio.sleep(60.0)
    compiled.end()
    del world.builds.refusals["ListBuilds"]
    await asyncio.sleep(400.0)


async def a_compile_has_a_stream_and_no_log(world: World) -> None:
    compiled = world.builds.compile("checkout")
    compiled.kept = False
    compiled.write("by its stream\nand no more")
    await asyncio.sleep(20.0)
    compiled.cut()
    compiled.end()
    await asyncio.sleep(60.0)
    compiled.streamed = False
    await asyncio.sleep(4000.0)


async def builds_are_listed_slowly(world: World) -> None:
    world.builds.slow_s = 5.0
    world.it.platform.app("checkout")
    await asyncio.sleep(30.0)


async def many_builds_are_known(world: World) -> None:
    """More cursors than one transaction takes."""
    for number in range(60):
        build = world.builds.build(f"bld_{number}")
        build.write(f"build {number}\n")
        world.builds.list(f"bld_{number}", app_name="checkout")
    await asyncio.sleep(200.0)


async def builds_are_made(world: World) -> None:
    compiled = world.builds.compile("checkout")
    compiled.write("one\ntwo\n")
    await asyncio.sleep(30.0)
    compiled.write("three\nfo")
    compiled.cut()
    await asyncio.sleep(60.0)
    compiled.write("ur\n")
    compiled.stall()
    await asyncio.sleep(120.0)
    compiled.end()
    world.builds.breaks.append(1)
    built = world.builds.build("bld_named")
    built.write("alpha\nbeta\n")
    other = world.builds.build("bld_listed")
    other.write("gamma\n" * 20)
    world.builds.list("bld_listed", app_name="checkout")
    await asyncio.sleep(400.0)
