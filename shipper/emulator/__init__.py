"""An Ignite on one machine, over gRPC and HTTP: for tests, for the demo, and to develop against (`shipper emulator`).

In a test:

    async with Emulator(Scenario(renumber=7)) as ignite:
        configure(endpoint=ignite.endpoint, organization="acme-corp", token=ignite.scenario.token)

        checkout = ignite.app("checkout")               # an app, no replica yet
        pod = checkout.start_replica()                  # Scheduled, Pulled and Started events come with it
        pod.print("processed batch 42")                 # now, on stdout
        pod.print("late", ts=pod.now_ms() - 3_000, stream="stderr")
        pod.print(b"not \\xff UTF-8")                    # declare_line="bytes" makes the descriptors say so too

        await ignite.calls.until_open(replica_id=pod.replica_id)   # someone streams this replica's logs
        pod.rotate(keep=10)                             # replays begin with the newest 10 lines
        pod.crash(); pod.restart()                      # in place: same id, restart_count + 1, a new history
        pod.end(); pod.gone()                           # ended and still listed; then gone with its history
        checkout.scale_to_zero()
        checkout.event("Unhealthy", "probe failed", pod.replica_id, recurring=True)   # count 1, 2, 3 ...

        compile = checkout.compile("dpl_01HZX9")        # what GetDraftInfo names; build() is what ListBuilds lists
        compile.print("Compiling checkout v0.1.0"); compile.write(b"half a li")     # chunks may be cut anywhere
        compile.finish(); compile.retire(); compile.forget()   # ended; no stream any more; found=false

        ignite.faults.cut(app="checkout")               # open streams end with UNAVAILABLE (or status=...)
        ignite.faults.stall(replica_id=pod.replica_id)  # half-open: connected, and nothing comes
        ignite.faults.garbage(app="checkout")           # a message that cannot be decoded
        refusal = ignite.faults.refuse("ListAppReplicas", "INTERNAL", app="checkout"); refusal.lift()
        ignite.faults.deny("checkout")                  # PERMISSION_DENIED; empty(...), delay(...)
        ignite.expire_tokens(cut_streams=True)          # with Scenario(token="", token_endpoint=True)
        await ignite.reconnect()                        # every TCP connection breaks; stop_serving(), start_serving()

        assert compare(ignite.ledger.counter(), archived_lines).equal

With `Scenario(http=HttpStyle(Form.SSE, envelope=True))` the same is served at `ignite.http_endpoint` in JSON; a request
chooses another style by the header `x-emulator-style: ndjson,snake,sparse`.

`ignite.ledger` has everything printed (`lines`, `counter()`; of builds `output`, `built_lines()`), every event
(`events`), and `unsent`: what became unreachable before it was sent to anyone. `ignite.calls.made` counts calls by
method. With `traffic=Traffic()` the world moves by itself, from its seed. One event loop, no threads: call these
methods on the loop that runs the emulator.
"""

from shipper.emulator.builds import EmulatedBuild
from shipper.emulator.emulator import Emulator
from shipper.emulator.http_style import Form, HttpStyle
from shipper.emulator.ledger import Built, Comparison, Happened, Ledger, Printed, compare
from shipper.emulator.scenario import Reflection, ReplayOrder, Scenario, Tls, Traffic
from shipper.emulator.world import EmulatedApp, EmulatedReplica

__all__ = [
    "Built",
    "Comparison",
    "EmulatedApp",
    "EmulatedBuild",
    "EmulatedReplica",
    "Emulator",
    "Form",
    "Happened",
    "HttpStyle",
    "Ledger",
    "Printed",
    "Reflection",
    "ReplayOrder",
    "Scenario",
    "Tls",
    "Traffic",
    "compare",
]
