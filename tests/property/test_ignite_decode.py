"""Reading many messages at once gives what reading them one by one gives."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shipper.ignite.contract import bundled
from shipper.ignite.decode import LogDecoder
from shipper.ignite.framing import Messages
from shipper.ignite.pb import ignite_compute_pb2 as pb

POD = "pod"
TWIN = bundled().calls["StreamAppLogs"].response

wellformed = st.builds(
    lambda time, pod, stream, text: pb.LogLine(
        timestamp_ms=time, replica_id=pod, stream=stream, line=text
    ).SerializeToString(),
    st.one_of(st.just(0), st.integers(-(2**63), 2**63 - 1)),
    st.sampled_from([POD, POD, POD, POD, "", "other"]),
    st.sampled_from([0, 1, 2]),
    st.one_of(st.just(""), st.text(max_size=20), st.text(min_size=100, max_size=120)),
)
bodies = st.lists(st.one_of(wellformed, wellformed, wellformed, st.binary(max_size=12)), max_size=12)


@given(bodies, st.booleans(), st.integers(0, 3))
def test_bulk_and_single_decoding_agree(bodies: list[bytes], strict: bool, bad: int) -> None:
    decoder = LogDecoder(TWIN, POD, strict)
    assert decoder.decode(Messages(bodies, bad)) == decoder._one_by_one(Messages(bodies, bad))
