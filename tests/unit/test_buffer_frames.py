"""Frames: the records of a partition as they will lie in the archive."""

from __future__ import annotations

import pytest

from shipper.archive.codec import decode, decompress, encode_gap
from shipper.archive.layout import hour_of
from shipper.buffer import FrameDraft, gap_frame, gap_frames, make_frames
from shipper.buffer.losses import Loss, by_partition, gaps_of, routed_gaps
from shipper.buffer.routing import Router
from shipper.buffer.slots import Slot, Slots, assign, sinks_of
from shipper.model import App, Codec, Gap, GapReason, Kind, Partition

SHOP = Partition(Kind.LOGS, "acme", "shop", 1)
CART = Partition(Kind.LOGS, "acme", "cart", 1)
TAKING = {"x": frozenset({Kind.LOGS}), "y": None, "z": frozenset({Kind.LOGS})}


def gap(app: str = "shop", at: int = 7_200_001) -> Gap:
    return Gap(at, App("acme", app), "r-1", Kind.LOGS, 1, 2, GapReason.ROTATED, "detail", 3)


@pytest.mark.parametrize("codec", list(Codec))
def test_a_frame_holds_its_draft(codec: Codec) -> None:
    """Records, times and sizes are those of the draft, the data is its NDJSON."""
    draft = FrameDraft([b'{"a":1}\n', b'{"a":2}\n'], 10, 20, 2)
    draft.add([b'{"a":3}\n'], 5, 15)
    (frame,) = make_frames({SHOP: draft}, codec)
    assert (frame.partition, frame.codec, frame.records, frame.first_ms, frame.last_ms) == (
        SHOP,
        codec,
        3,
        5,
        20,
    )
    raw = decompress(codec, frame.data)
    assert raw == b'{"a":1}\n{"a":2}\n{"a":3}\n'
    assert frame.raw_size == len(raw)


def test_empty_drafts_make_no_frames() -> None:
    """A partition without records costs nothing."""
    drafts = {SHOP: FrameDraft([], 0, 0, 0), CART: FrameDraft([b"{}\n"], 1, 1, 1)}
    assert [frame.partition for frame in make_frames(drafts, Codec.NONE)] == [CART]


def test_gaps_lie_in_the_hour_in_which_they_were_noticed() -> None:
    """One frame for each app and hour, whatever the times that are missing."""
    one = gap_frame(gap(), Codec.ZSTD)
    assert one.partition == Partition(Kind.GAPS, "acme", "shop", hour_of(7_200_001))
    assert decompress(Codec.ZSTD, one.data) == encode_gap(gap())
    frames = gap_frames([gap("a"), gap("b"), gap("a"), gap("a", at=0)], Codec.NONE)
    assert [(frame.partition.app, frame.partition.hour, frame.records) for frame in frames] == [
        ("a", 2, 2),
        ("b", 2, 1),
        ("a", 0, 1),
    ]


def test_losses_are_merged_by_app_kind_and_sinks() -> None:
    """Counts add up, times span, and what cannot be counted makes the sum unknown."""
    later = Partition(Kind.LOGS, "acme", "shop", 2)
    losses = [
        Loss(SHOP, 1, 5, 10, 20),
        Loss(later, 1, 6, 30, 40),
        Loss(SHOP, 3, 7, 1, 2),
        Loss(CART, 1, None, 0, 9),
    ]
    gaps = gaps_of([*losses, Loss(CART, 1, 4, 3, 4)], GapReason.BUFFER_FULL, 99, "why")
    assert [(one.app.name, one.lost, one.from_ms, one.to_ms, bits) for one, bits in gaps] == [
        ("shop", 11, 10, 40, 1),
        ("shop", 7, 1, 2, 3),
        ("cart", None, 0, 9, 1),
    ]
    assert {one.noticed_ms for one, _ in gaps} == {99}
    assert by_partition([*losses, losses[0]])[0] == Loss(SHOP, 1, 10, 10, 20)


def test_gap_frames_are_for_the_sinks_that_lost_and_take_them() -> None:
    """Sinks that take no gap records are left out; a gap for none of the others is for no sink."""
    slots = Slots(Slot(number, name, kinds, 1) for number, (name, kinds) in enumerate(TAKING.items()))
    router = Router(slots, None)
    routed = routed_gaps([(gap("a"), 0b011), (gap("b"), 0b100), (gap("c"), 0b010)], router, Codec.NONE)
    assert [(one.frame.partition.app, one.bits) for one in routed] == [("a", 0b010), ("c", 0b010), ("b", 0)]
    assert next(decode(routed[0].frame.data))["app"] == "a"


def test_slots_are_kept_and_given_anew() -> None:
    """A known sink keeps its slot, a new one gets a free one and only frames from now on."""
    slots = assign({"b": None, "c": frozenset({Kind.LOGS})}, {"a": (0, 1), "b": (1, 1)}, 50)
    assert [(slot.name, slot.number, slot.from_frame) for slot in slots] == [("b", 1, 1), ("c", 0, 50)]
    assert slots.takers(Kind.LOGS) == 0b11
    assert slots.takers(Kind.GAPS) == 0b10
    assert slots.names(0b11) == ("b", "c")


def test_more_sinks_than_bits_are_refused() -> None:
    """The set of a frame's sinks is one integer."""
    assert list(sinks_of(["a", "b"])) == ["a", "b"]
    with pytest.raises(ValueError, match="at most 62 sinks"):
        sinks_of([f"sink-{number}" for number in range(63)])
