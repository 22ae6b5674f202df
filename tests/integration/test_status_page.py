"""The status page in a real browser: live, safe, readable, and usable with a thousand replicas."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import ClientSession

from shipper.model import GapReason
from shipper.telemetry.facts import Facts, Query
from shipper.telemetry.health import Liveness, Readiness
from shipper.telemetry.prometheus import PrometheusMeter
from shipper.telemetry.recent import Counts
from shipper.telemetry.web import TelemetryServer
from tests.fakes.facts import NOW_MS, collect, facts, gap, replica, sink, stream
from tests.servers import chromium
from tests.servers.chromium import Page

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(
        chromium.program() is None, reason="no chromium in PATH, and SHIPPER_TEST_CHROMIUM names none"
    ),
]

HOSTILE = "<img src=x onerror=alert(1)>\"'><script>alert(2)</script>&lt;\u202e"
NEXT_LOOK = "document.dispatchEvent(new Event('visibilitychange'))"
"""What makes the page ask at once, as when its tab is looked at again."""

# The least contrast of all texts against what is behind them, as WCAG 2.2 reckons it.
CONTRAST = """
(() => {
  const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
    .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, at) => sum + v * [0.2126, 0.7152, 0.0722][at], 0);
  const parts = (color) => color.match(/[\\d.]+/g).map(Number);
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const color = parts(getComputedStyle(at).backgroundColor);
      if (color.length < 4 || color[3] === 1) return color;
    }
    return [255, 255, 255];
  };
  let least = 99, where = "";
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((child) => child.nodeType === 3 && child.data.trim());
    if (!own || !element.checkVisibility() || ["SCRIPT", "METER", "OPTION"].includes(element.tagName)) continue;
    const [a, b] = [light(parts(getComputedStyle(element).color)), light(behind(element))].sort((x, y) => y - x);
    const contrast = (a + 0.05) / (b + 0.05);
    if (contrast < least) [least, where] = [contrast, `${element.tagName}.${element.className} ${element.textContent}`];
  }
  return { least, where };
})()
"""


@dataclass
class Daemon:
    """A telemetry server whose facts a test sets, and the browser in front of it."""

    page: Page
    port: int = 0
    facts: Callable[[Query], Facts] = field(default=lambda query: facts(query=query))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def look(self, query: Query) -> Facts:
        return self.facts(query)

    async def status(self, parameters: str = "") -> Any:
        async with ClientSession() as session, session.get(f"{self.url}/api/status{parameters}") as answer:
            return await answer.json()

    async def text(self, selector: str) -> str:
        return str(await self.page.eval(f"document.querySelector({selector!r}).innerText"))

    async def rows(self, section: str) -> list[list[str]]:
        script = (
            f"[...document.querySelectorAll('section[aria-labelledby={section}] tbody tr')]"
            ".map((row) => [...row.cells].map((cell) => cell.innerText.trim()))"
        )
        return list(await self.page.eval(script))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def tab(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Page]:
    async with chromium.browser(tmp_path_factory.mktemp("chromium")) as page:
        yield page


@pytest_asyncio.fixture(loop_scope="module")
async def it(tab: Page) -> AsyncIterator[Daemon]:
    meter = PrometheusMeter()
    server = TelemetryServer("127.0.0.1", 0, meter=meter, liveness=Liveness(meter), readiness=Readiness({}))
    daemon = Daemon(tab)
    await tab.send("Emulation.setScriptExecutionDisabled", value=False)
    await tab.look()
    tab.complaints.clear()
    tab.requests.clear()
    async with server:
        server.show(daemon.look)
        daemon.port = server.port
        yield daemon
    await tab.open("about:blank")


def troubled(query: Query) -> Facts:
    """A parked sink, gaps, refused streams, dead letters."""
    counts = Counts()
    counts.gaps(2, ("rotated",))
    counts.drops(1_200, ("search", "buffer_full"))
    counts.reconnects(3, ("logs", "retry"))
    replicas = [
        replica(0),
        replica(1, "checkout", stream("parked", reason="PERMISSION_DENIED: no role on this app")),
        replica(2, "mail", stream("waiting", reconnects=14, reason="UNAVAILABLE: connection refused")),
        replica(3, "mail", stream("resuming")),
    ]
    parked = sink(
        "search",
        "parked",
        error="403 Forbidden: the key is not valid",
        error_ms=NOW_MS - 30_000,
        backlog=1_204_331,
    )
    failing = sink("errors", "failing", error="503", error_ms=NOW_MS - 3_000, dead_letters=12)
    return facts(
        query=query,
        counts=counts,
        gaps=(gap(), gap(GapReason.REPLICA_GONE, lost=12)),
        sinks=(sink(), parked, failing),
        collect=collect(replicas, query),
    )


def crowd(query: Query) -> Facts:
    return facts(query=query, collect=collect([replica(n, f"app-{n % 40:02d}") for n in range(1000)], query))


async def test_the_states_shown_are_those_of_the_api(it: Daemon) -> None:
    it.facts = troubled
    status = await it.status()
    await it.page.open(it.url)
    assert await it.text(".verdict") == status["verdict"]["text"]
    shown = {row[0].split()[0]: row[1].split()[0] for row in await it.rows("sinks")}
    assert shown == {one["name"]: one["state"] for one in status["sinks"]}
    replicas = {row[0].split()[0]: row[2] for row in await it.rows("replicas")}
    assert replicas == {
        one["replica"]: one["subscriptions"][0]["state"] for one in status["replicas"]["items"]
    }
    assert [row[4] for row in await it.rows("gaps")] == [one["reason"] for one in status["gaps"]["recent"]]
    assert it.page.complaints == []


async def test_a_parked_sink_and_a_gap_stand_out_at_the_top_of_the_page(it: Daemon) -> None:
    it.facts = troubled
    await it.page.open(it.url)
    assert await it.text(".verdict") == "Records were lost in the last 15 minutes."
    assert await it.page.eval("document.querySelector('.verdict').className") == "verdict critical"
    findings = await it.text(".findings")
    assert "2 gaps in the last 15 minutes: rotated." in findings
    assert "The sink search takes nothing until someone acts: 403 Forbidden" in findings
    assert await it.page.eval("document.querySelector('.findings').getBoundingClientRect().top < 200")
    red = await it.page.eval("getComputedStyle(document.querySelector('.state.poor')).color")
    green = await it.page.eval("getComputedStyle(document.querySelector('.state.good')).color")
    assert red != green
    sign = "getComputedStyle(document.querySelector('.state.' + one), '::before').content"
    signs = f"['poor', 'good'].map((one) => {sign})"
    assert len(set(await it.page.eval(signs))) == 2, "the sign tells what the colour tells"


async def test_the_page_follows_what_happens_without_being_loaded_again(it: Daemon) -> None:
    await it.page.open(it.url)
    await it.page.eval("window.same = true")
    await it.page.eval("document.querySelector('details').open = true")
    assert await it.text(".verdict") == "Nothing is being lost."
    it.facts = troubled
    await asyncio.sleep(0.5)  # the server gives the same facts again within that
    await it.page.eval(NEXT_LOOK)
    await it.page.until("document.querySelector('.verdict').innerText.startsWith('Records were lost')")
    assert await it.page.eval("window.same && document.querySelector('details').open")
    assert await it.page.eval("document.title.startsWith('Records were lost')")
    assert it.page.complaints == []
    assert {url.partition("?")[0] for url in it.page.requests} == {f"{it.url}/"}


async def test_a_hidden_or_paused_page_asks_for_nothing(it: Daemon) -> None:
    await it.page.open(it.url)
    asked = len(it.page.requests)
    await it.page.eval("Object.defineProperty(document, 'hidden', {configurable: true, get: () => true})")
    await it.page.eval(NEXT_LOOK)
    await it.page.eval("delete document.hidden")
    await it.page.eval("document.getElementById('pause').click()")
    assert await it.page.eval("document.getElementById('pause').getAttribute('aria-pressed')") == "true"
    await it.page.eval(NEXT_LOOK)
    await it.page.eval("fetch('/healthz').then((answer) => answer.status)")
    assert it.page.requests[asked:] == [f"{it.url}/healthz"], (
        "what came after is here, and nothing came between"
    )
    await it.page.eval("document.getElementById('pause').click()")
    await it.page.eval("fetch('/healthz').then((answer) => answer.status)")
    assert f"{it.url}/" in it.page.requests[asked:]


async def test_a_daemon_that_does_not_answer_any_more_is_told_in_red_until_it_does(it: Daemon) -> None:
    await it.page.open(it.url)

    def fails(query: Query) -> Facts:
        raise RuntimeError("a fault")

    works, it.facts = it.facts, fails
    await asyncio.sleep(0.5)
    await it.page.eval(NEXT_LOOK)
    await it.page.until("document.getElementById('stale').innerText.includes('does not answer')")
    assert await it.page.eval("document.getElementById('stale').getAttribute('role')") == "alert"
    assert await it.text(".verdict") == "Nothing is being lost."
    it.facts = works
    await it.page.eval(NEXT_LOOK)
    await it.page.until("document.getElementById('stale').innerText === ''")


async def test_names_and_errors_of_others_never_run(it: Daemon) -> None:
    def hostile(query: Query) -> Facts:
        return facts(
            query=query,
            gaps=(gap(replica_id=HOSTILE, detail=HOSTILE),),
            sinks=(sink(HOSTILE, "parked", error=HOSTILE, error_ms=NOW_MS),),
            collect=collect([replica(0, HOSTILE, stream(reason=HOSTILE))], problem=HOSTILE),
        )

    it.facts = hostile
    for _ in range(2):
        await it.page.open(it.url)
        assert await it.page.eval("document.querySelectorAll('img, iframe, object, svg').length") == 0
        assert await it.page.eval("document.scripts.length") == 1
        assert "<img src=x onerror=alert(1)>" in await it.text("#facts")
        assert it.page.complaints == []
        it.facts = hostile
    it.facts = lambda query: facts(query=query)
    await it.page.open(it.url)
    it.facts = hostile
    await asyncio.sleep(0.5)
    await it.page.eval(NEXT_LOOK)
    await it.page.until("document.getElementById('facts').innerText.includes('<img')")
    assert await it.page.eval("document.querySelectorAll('img').length") == 0
    assert it.page.complaints == []


async def test_the_policy_stops_what_would_have_got_through(it: Daemon) -> None:
    await it.page.open(it.url)
    await it.page.eval(
        "document.body.append(Object.assign(document.createElement('script'), {textContent: 'window.ran = true'}))"
    )
    await it.page.eval(
        "document.body.append(Object.assign(document.createElement('img'), {src: 'http://192.0.2.1/x'}))"
    )
    assert await it.page.eval("window.ran === undefined")
    assert [("script-src" in text, "img-src" in text) for text in it.page.complaints] == [
        (True, False),
        (False, True),
    ]


async def test_without_javascript_every_fact_is_there(it: Daemon) -> None:
    it.facts = troubled
    await it.page.send("Emulation.setScriptExecutionDisabled", value=True)
    await it.page.open(f"{it.url}/?app=mail")
    tree = (await it.page.send("Accessibility.getFullAXTree"))["nodes"]
    said = " ".join(str(node.get("name", {}).get("value", "")) for node in tree)
    assert "Records were lost in the last 15 minutes." in said
    assert "mail-7c9d8f6b5-00002" in said
    assert "Pause" not in said, "a button that does nothing is not shown"
    source = await it.page.send(
        "DOM.getOuterHTML", nodeId=(await it.page.send("DOM.getDocument"))["root"]["nodeId"]
    )
    assert '<meta http-equiv="refresh" content="30">' in source["outerHTML"]


async def test_who_listens_to_the_page_finds_landmarks_named_tables_and_headings(it: Daemon) -> None:
    it.facts = troubled
    await it.page.open(it.url)
    tree = (await it.page.send("Accessibility.getFullAXTree"))["nodes"]
    roles: dict[str, list[str]] = {}
    for node in tree:
        name = str(node.get("name", {}).get("value", ""))
        roles.setdefault(str(node.get("role", {}).get("value", "")), []).append(name)
    assert [len(roles[one]) for one in ("banner", "main", "contentinfo", "search")] == [1, 1, 1, 1]
    assert all(roles["table"]), "every table has a name"
    assert len(roles["columnheader"]) > 20
    assert len(roles["rowheader"]) >= 10
    assert "Records were lost in the last 15 minutes." in " ".join(roles["StaticText"])
    assert {"Sinks", "Buffer", "Apps", "Replicas"} <= set(roles["heading"])
    assert all(roles["button"])
    assert all(roles["textbox"] if "textbox" in roles else roles["combobox"])


async def test_the_filter_works_by_keyboard_alone_and_keeps_the_focus(it: Daemon) -> None:
    it.facts = crowd
    await it.page.open(it.url)
    key = {"key": "Tab", "code": "Tab", "windowsVirtualKeyCode": 9}
    for _ in range(20):
        await it.page.send("Input.dispatchKeyEvent", type="keyDown", **key)
        await it.page.send("Input.dispatchKeyEvent", type="keyUp", **key)
        outline = await it.page.eval("getComputedStyle(document.activeElement).outlineStyle")
        assert outline != "none", "who moves by keyboard sees where they are"
        if await it.page.eval("document.activeElement.name === 'app'"):
            break
    await it.page.send("Input.insertText", text="app-07")
    enter = {"key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13, "text": "\r"}
    await it.page.send("Input.dispatchKeyEvent", type="keyDown", **enter)
    await it.page.until(
        "document.querySelectorAll('section[aria-labelledby=replicas] tbody tr').length === 25"
    )
    assert await it.page.eval("location.search") == "?app=app-07"
    assert await it.page.eval("document.activeElement.name") == "app"
    assert await it.page.eval("document.activeElement.value") == "app-07"


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
async def test_every_text_has_enough_contrast(it: Daemon, dark: bool) -> None:
    it.facts = troubled
    await it.page.look(dark=dark)
    await it.page.open(it.url)
    found = await it.page.eval(CONTRAST)
    assert found["least"] >= 4.5, found
    it.facts = crowd
    await it.page.open(f"{it.url}/?limit=20")
    found = await it.page.eval(CONTRAST)
    assert found["least"] >= 4.5, found


async def test_the_page_fits_a_phone(it: Daemon) -> None:
    it.facts = troubled
    await it.page.look(width=360, height=740)
    await it.page.open(it.url)
    assert await it.page.eval("document.documentElement.scrollWidth") <= 360
    assert await it.page.eval("document.querySelector('.findings').getBoundingClientRect().top < 200")
    sizes = await it.page.eval(
        "[...document.querySelectorAll('button, input')].filter((one) => one.checkVisibility())"
        ".map((one) => one.getBoundingClientRect().height)"
    )
    assert min(sizes) >= 24, "a finger can hit it (WCAG 2.2, 2.5.8)"


async def test_a_thousand_replicas_stay_usable(it: Daemon) -> None:
    it.facts = crowd
    await it.page.open(f"{it.url}/?limit=1000")
    assert len(await it.rows("replicas")) == 1000
    loaded = await it.page.eval("performance.getEntriesByType('navigation')[0].domComplete")
    assert loaded < 3_000, f"{loaded:.0f} ms until it is there"
    await it.page.eval(
        "window.longest = 0; new PerformanceObserver((list) => { for (const one of list.getEntries())"
        " window.longest = Math.max(window.longest, one.duration) }).observe({type: 'longtask'})"
    )
    it.facts = lambda query: facts(
        query=query,
        collect=collect([replica(n, f"app-{n % 40:02d}", stream("waiting")) for n in range(1000)], query),
    )
    await asyncio.sleep(0.5)
    await it.page.eval(NEXT_LOOK)
    await it.page.until(
        "document.querySelectorAll('section[aria-labelledby=replicas] .fair').length === 1000"
    )
    longest = await it.page.eval("window.longest")
    assert longest < 1_000, f"taking over a new look held the page for {longest:.0f} ms"
    await it.page.open(it.url)
    assert len(await it.rows("replicas")) == 50
    assert "1,000 of 1,000 replicas: 1 to 50" in await it.text("section[aria-labelledby=replicas]")
    await it.page.eval("document.querySelector('a[rel=next]').click()")
    await it.page.until(
        "location.search.includes('offset=50') && document.querySelector('a[rel=prev]') !== null"
    )
