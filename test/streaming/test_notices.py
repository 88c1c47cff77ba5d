"""Each kind of sentence comes at once, then now and then with its count."""

from seld_overlap_ros.streaming.notices import PAUSE_S, Notices


def test_the_first_of_a_kind_comes_at_once_and_the_others_are_counted():
    said, now = [], [0.0]
    notices = Notices(said.append, clock=lambda: now[0])
    notices("gap", "a gap")
    notices("gap", "a second gap")
    notices("gap", "a third gap")
    notices("rate", "another rate")
    assert said == ["a gap", "another rate"]
    now[0] = PAUSE_S + 0.1
    notices("gap", "a fourth gap")
    assert said[2:] == ["a fourth gap (2 more since last said)"]
    assert notices.counts == {"gap": 4, "rate": 1}
