"""Parts with one stamp come together, in order, and what misses a partner is given up and said."""

import random

from seld_overlap_ros.streaming.pairing import MOST_WAITING, Pairing


def pairing() -> tuple[Pairing, list]:
    lost = []
    return Pairing(("a", "b"), lambda stamp_ns, missing: lost.append((stamp_ns, missing))), lost


def test_two_parts_of_one_stamp_come_together_whichever_is_first():
    pair, lost = pairing()
    assert pair.put("a", 1, "a1") is None
    assert pair.put("b", 1, "b1") == ("a1", "b1")
    assert pair.put("b", 2, "b2") is None
    assert pair.put("a", 2, "a2") == ("a2", "b2")
    assert lost == []


def test_one_kind_may_run_ahead():
    pair, lost = pairing()
    assert [pair.put("a", k, k) for k in range(MOST_WAITING)] == [None] * MOST_WAITING
    assert [pair.put("b", k, -k) for k in range(MOST_WAITING)] == [(k, -k) for k in range(MOST_WAITING)]
    assert lost == []


def test_what_misses_its_partner_is_given_up_when_a_later_one_is_complete():
    pair, lost = pairing()
    pair.put("a", 1, "a1")
    pair.put("b", 2, "b2")
    assert pair.put("b", 3, "b3") is None
    assert pair.put("a", 3, "a3") == ("a3", "b3")
    assert lost == [(1, ["b"]), (2, ["a"])]
    assert pair.put("b", 1, "too late") is None


def test_a_kind_that_never_comes_costs_no_memory():
    pair, lost = pairing()
    for k in range(100):
        assert pair.put("a", k, k) is None
    assert lost == [(k, ["b"]) for k in range(100 - MOST_WAITING)]


def test_stamps_that_go_back_are_a_new_stream():
    pair, lost = pairing()
    for stamp_ns in (100, 200, 50):
        pair.put("a", stamp_ns, stamp_ns)
    assert [pair.put("b", stamp_ns, 0) for stamp_ns in (100, 200, 50)] == [(100, 0), (200, 0), (50, 0)]
    assert lost == []


def test_with_losses_and_delays_nothing_comes_out_of_order_or_twice():
    rng = random.Random(0)
    for _ in range(50):
        queues = {kind: [k for k in range(60) if rng.random() > 0.2] for kind in "ab"}
        pair, lost, came = *pairing(), []
        while any(queues.values()):
            kind = rng.choice([kind for kind in "ab" if queues[kind]])
            stamp = queues[kind].pop(0)
            if parts := pair.put(kind, stamp, stamp):
                assert parts == (stamp, stamp)
                came.append(stamp)
        assert came == sorted(set(came))
        assert not {stamp for stamp, _ in lost} & set(came)
