"""Whoever sends windows out waits for those that are on their way, but for no lost one for ever."""

import threading
import time

from seld_overlap_ros.streaming import in_flight
from seld_overlap_ros.streaming.in_flight import MOST, InFlight

LIMIT_S = 20.0


def full() -> InFlight:
    flight = InFlight()
    for stamp_ns in range(MOST):
        assert flight.wait()
        flight.send(stamp_ns)
    return flight


def test_there_is_room_again_when_a_window_has_come_through():
    flight = full()
    threading.Timer(0.2, flight.came_back, [0]).start()
    start = time.monotonic()
    assert flight.wait()
    assert time.monotonic() - start < in_flight.LOST_AFTER_S


def test_a_window_that_comes_through_answers_for_those_before_it():
    flight = full()
    flight.came_back(MOST - 1)
    for stamp_ns in range(MOST):
        assert flight.wait()
        flight.send(10 + stamp_ns)


def test_while_none_comes_back_one_goes_out_now_and_then(monkeypatch):
    monkeypatch.setattr(in_flight, "LOST_AFTER_S", 0.3)
    monkeypatch.setattr(in_flight, "PROBE_S", 0.1)
    flight, start = full(), time.monotonic()
    flight.came_back(77)  # nobody knows it
    for stamp_ns in range(MOST, 30):
        assert not flight.wait()
        flight.send(stamp_ns)
    passed_s = time.monotonic() - start
    assert 0.29 + 27 * 0.099 < passed_s < LIMIT_S
    flight.came_back(29)
    assert flight.wait()


def test_the_end_is_not_waited_for():
    flight = full()
    waiting = threading.Thread(target=flight.wait)
    waiting.start()
    flight.close()
    waiting.join(LIMIT_S)
    assert not waiting.is_alive()
