"""The hop that is found: short where windows are cheap, longer at once where they are not, and calm."""

import pytest

from seld_overlap_ros.config import FrontEnd
from seld_overlap_ros.streaming.health import OK, WARN
from seld_overlap_ros.streaming.hop import CALM_S, MOST, SOON_S, AutoHop


class Clock:
    now_s = 100.0

    def __call__(self):
        return self.now_s


@pytest.fixture
def make():
    def made(cost_s=None):
        clock, said = Clock(), []
        return AutoHop(FrontEnd(), cost_s, said.append, clock), clock, said

    return made


def hear(auto, clock, cost_s, seconds):
    """So many seconds of windows that take cost_s each -> the hops on the way."""
    hops, end_s = [auto.hop_s], clock.now_s + seconds
    while clock.now_s < end_s:
        clock.now_s += max(auto.hop_s, cost_s)
        if auto.took(cost_s):
            hops.append(auto.hop_s)
    return hops


COSTS_AND_HOPS = [(0.01, 0.128), (0.063, 0.128), (0.064, 0.192), (0.2, 0.512), (9.0, 3.072)]


@pytest.mark.parametrize(("cost_s", "hop_s"), COSTS_AND_HOPS)
def test_the_hop_is_the_shortest_that_leaves_half_of_the_time(make, cost_s, hop_s):
    auto, _, said = make(cost_s)
    assert auto.hop_s == pytest.approx(hop_s)
    assert cost_s < MOST * auto.hop_s or hop_s == 3.072
    assert said == [f"hop: auto: a window every {hop_s:g} s, as a window takes {cost_s:.3f} s"]


def test_every_hop_is_a_whole_number_of_frames(make):
    auto, _, _ = make()
    assert all(round(hop_s * 16000) % FrontEnd().hop == 0 for hop_s in auto._hops_s)


def test_windows_that_take_too_long_make_it_longer_within_seconds(make):
    auto, clock, said = make(0.05)
    assert hear(auto, clock, 0.3, SOON_S) == [0.128, 0.768]
    assert said[-1] == "hop: auto: a window every 0.768 s, as a window takes 0.300 s"
    assert auto.status().values == {"hop [s]": "0.768", "time for a window [s]": "0.300", "changes": "1"}


def test_a_long_hop_gets_longer_too(make):
    auto, clock, _ = make(0.9)
    assert hear(auto, clock, 1.3, 30.0) == [2.048, 3.072]


def test_a_stall_of_the_machine_changes_nothing(make):
    auto, clock, _ = make(0.05)
    hear(auto, clock, 0.05, SOON_S)
    assert not auto.took(5.0)
    assert hear(auto, clock, 0.5, 1.5) == [0.128]
    assert hear(auto, clock, 0.05, SOON_S) == [0.128]


def test_it_gets_shorter_again_after_a_calm_minute_but_not_shorter_than_at_first(make):
    auto, clock, _ = make(0.1)
    assert hear(auto, clock, 0.3, SOON_S) == [pytest.approx(0.256), 0.768]
    assert hear(auto, clock, 0.02, 0.9 * CALM_S) == [0.768]
    assert hear(auto, clock, 0.02, 10 * CALM_S) == [0.768, pytest.approx(0.256)]


def test_a_cost_at_the_border_does_not_make_it_waver(make):
    auto, clock, _ = make(0.1)
    hops = [hop for k in range(40) for hop in hear(auto, clock, 0.12 if k % 2 else 0.14, 5.0)[1:]]
    assert len(hops) <= 1


def test_without_a_measurement_a_minute_decides(make):
    auto, clock, said = make()
    assert said == ["hop: auto: a window every 0.512 s, until it is known what a window takes"]
    assert hear(auto, clock, 0.05, 1.1 * CALM_S) == [0.512, 0.128]


def test_a_machine_that_is_too_slow_for_any_hop_is_said(make):
    auto, clock, _ = make(0.05)
    assert auto.status().level == OK
    hear(auto, clock, 2.0, 120.0)
    assert auto.status().level == WARN
    assert "take a smaller model" in auto.status().sentence
