"""The worker takes the newest item, says which it left, and never keeps its caller waiting."""

import threading

import pytest

from seld_overlap_ros.streaming.worker import Worker

DEADLINE_S = 10


def test_a_busy_worker_keeps_the_newest_item_and_reports_the_others():
    busy, go, done, dropped, failed = threading.Event(), threading.Event(), [], [], []
    finished = threading.Event()

    def handle(item: int) -> None:
        busy.set()
        assert go.wait(DEADLINE_S)
        done.append(item)
        if item == 4:
            finished.set()

    worker = Worker(handle, dropped.append, failed.append)
    worker.put(1)
    assert busy.wait(DEADLINE_S)
    for item in (2, 3, 4):
        worker.put(item)
    go.set()
    assert finished.wait(DEADLINE_S)
    worker.close()
    assert (done, dropped, failed) == ([1, 4], [2, 3], [])


def test_what_comes_at_once_is_all_done_unless_newer_comes():
    done, dropped, finished = [], [], threading.Event()

    def handle(item: int) -> None:
        done.append(item)
        if item == 5:
            finished.set()

    worker = Worker(handle, dropped.append, pytest.fail)
    worker.put(1, 2, 3, 4, 5)
    assert finished.wait(DEADLINE_S)
    worker.close()
    assert (done, dropped) == ([1, 2, 3, 4, 5], [])


def test_a_failure_is_handed_on():
    failed, seen = [], threading.Event()

    def report(error: Exception) -> None:
        failed.append(error)
        seen.set()

    worker = Worker(lambda item: 1 / item, pytest.fail, report)
    worker.put(0)
    assert seen.wait(DEADLINE_S)
    assert isinstance(failed[0], ZeroDivisionError)
    worker.close()
