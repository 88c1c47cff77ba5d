"""What a graph said of a bag, recorded: as the library gives it, how late, and where it differs from offline."""

import os
import signal
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from rosbags.rosbag2 import StoragePlugin, Writer

from seld_overlap_ros.bags.definitions import type_store
from seld_overlap_ros.bags.reading import read_bag
from seld_overlap_ros.bags.runs import TYPES, RunWriter, read_run
from seld_overlap_ros.bags.scenes import BagScene
from seld_overlap_ros.bags.storage import BagError
from seld_overlap_ros.bags.writing import START_NS, write_bag
from seld_overlap_ros.evaluation import live as live_module
from seld_overlap_ros.evaluation.events import Event
from seld_overlap_ros.evaluation.live import Stage, differences, hear_live, heard_live, judge, play
from seld_overlap_ros.evaluation.replay import Heard, Look, Settings
from seld_overlap_ros.messages import SECOND
from seld_overlap_ros.streaming.pcm import AudioFormat

STORE = type_store()
DOG, BELL = Event(5, 0.0, "dog", 1.0, 0.5, 0.75), Event(6, 1.5, None, 2.0, 1.0, 0.5)


def make(kind, **fields):
    return STORE.types[kind](**fields)


def time(ns, kind="Time"):
    return make(f"builtin_interfaces/msg/{kind}", sec=ns // SECOND, nanosec=ns % SECOND)


def header(second):
    return make("std_msgs/msg/Header", stamp=time(START_NS + round(second * SECOND)), frame_id="")


def said(event, at_s, ended=False):
    best = make("seld_overlap/msg/ClassHypothesis", class_id=0, label=event.label or "cat", score=event.score)
    return make("seld_overlap/msg/SoundEvent", header=header(at_s), id=event.id, azimuth=event.azimuth,
                azimuth_resolution=0.0, direction_score=1.0, hypotheses=[best], unknown=event.label is None,
                onset=time(START_NS + round(event.onset_s * SECOND)),
                duration=time(round(event.duration_s * SECOND), "Duration"), ended=ended)


def load(**factors):
    """What nodes say of theirs on /diagnostics."""
    lines = [make("diagnostic_msgs/msg/DiagnosticStatus", level=0, name=f"{node}: windows", message="", hardware_id="",
                  values=[make("diagnostic_msgs/msg/KeyValue", key="real-time factor", value=value)])
             for node, value in factors.items()]
    return make(TYPES["/diagnostics"], header=header(0.0), status=lines)


def window(at_s, events=(), ended=()):
    return make(TYPES["/events"], header=header(at_s), window=time(2 * SECOND, "Duration"),
                events=[said(event, at_s) for event in events], ended=[said(event, at_s, True) for event in ended])


@pytest.fixture
def bag(tmp_path):
    chunks = [np.zeros((1600, 8), np.float32)] * 40
    write_bag(tmp_path / "bag", BagScene("four seconds", AudioFormat(8, 16000, "S16LE"), chunks, (DOG,)))
    return read_bag(tmp_path / "bag")


@pytest.fixture
def recorded(tmp_path, monkeypatch):
    """Writes a run of messages, each with the second in which it came, and reads it."""
    def record(*messages):
        clock = iter([START_NS + round(second * SECOND) for second, *_ in messages])
        monkeypatch.setattr("seld_overlap_ros.bags.runs.time.time_ns", lambda: next(clock))
        writer = RunWriter(tmp_path / "run")
        for _, topic, message in messages:
            if topic == "audio":
                writer.audio_came(START_NS + round(message * SECOND))
            else:
                writer.write(topic, STORE.serialize_cdr(message, TYPES[f"/{topic.lstrip('/')}"]))
        writer.close()
        return read_run(tmp_path / "run")

    return record


def offline(*events, starts=(0.0, 1.0, 2.0)):
    ends = {event.id: tuple(start + 2.0 for start in starts if start < event.end_s) for event in events}
    looks = tuple(Look(start, {}) for start in starts)
    return Heard(events, ends, len(starts), (), 1.0, looks=looks)


def audio(*seconds, late_s=0.1):
    """Chunks of 0.1 s, each when its last sample has sounded, and a bit."""
    return [(second + 0.1 + late_s, "audio", second) for second in seconds]


def test_a_run_is_heard_as_offline_and_its_latency_counts_from_the_last_sample(bag, recorded):
    run = recorded(*audio(0.0, 1.8, 1.9), (2.35, "events", window(0.0, [DOG])), *audio(2.9),
                   (3.4, "events", window(1.0, [DOG, BELL])), *audio(3.9),
                   (4.3, "events", window(2.0, [BELL], ended=[DOG])))
    ends = {DOG.id: (2.0, 3.0), BELL.id: (3.0, 4.0)}
    expected = Heard((DOG, BELL), ends, 3, (), 1.0, looks=offline().looks, half_sector=0.1)
    heard, live = judge(bag, run, expected)
    assert [event.label for event in heard.events] == ["dog", None]
    assert heard.wall_s == pytest.approx(4.1) and heard.reported_s == ends
    assert heard.half_sector == expected.half_sector
    assert heard.latency_s == pytest.approx((0.25, 0.3, 0.2), abs=1e-6)
    assert (live.n_heard, live.n_expected, live.dropped_s, live.differences) == (3, 3, (), ())
    assert live.latency_median_s == pytest.approx(0.25, abs=1e-6)
    assert "3 of 3 windows" in live.in_words() and "events as offline" in live.in_words()


def test_how_late_it_is_is_not_known_where_all_stamps_are_the_same(bag, recorded):
    chunks = [(second, topic, 0.0) for second, topic, _ in audio(0.0, 1.8, 1.9, 2.9)]
    _, live = judge(bag, recorded(*chunks, (3.4, "events", window(0.0, [DOG]))), offline(DOG))
    assert np.isnan(live.latency_median_s) and "how late is not known" in live.in_words()


def test_windows_that_never_came_are_named(bag, recorded):
    _, live = judge(bag, recorded(*audio(0.0, 1.9), (2.5, "events", window(0.0, [DOG]))), offline(DOG))
    assert (live.n_heard, live.n_expected, live.dropped_s) == (1, 3, (1.0, 2.0))
    assert live.differences[0] == "1 windows in place of 3"
    assert "not as offline: 1 windows in place of 3; " in live.in_words()


def test_a_run_of_one_message_has_no_speed(bag, recorded):
    assert np.isnan(heard_live(bag, recorded(*audio(0.0))).wall_s)


def test_a_run_in_which_nothing_was_said_is_no_crash(bag, recorded):
    heard, live = judge(bag, recorded(), offline(DOG))
    assert heard.n_windows == 0 and np.isnan(heard.wall_s) and np.isnan(live.latency_p95_s)
    assert live.in_words().startswith("0 of 3 windows, how late is not known; not as offline: ")
    assert live.differences[1].startswith("only offline: dog 0.750 at 0° from 1.000 s")


def test_what_was_separated_and_the_load_are_in_a_run(bag, recorded):
    chunk = make(TYPES["/separated"], header=header(1.0), event=said(DOG, 0.0), sequence=0, sample_rate=16000,
                 samples=np.ones(160, np.float32))
    run = recorded((1.0, "separated", chunk), (2.0, "/diagnostics", load(gate_node="unknown", ssl_node="0.25")))
    assert run.factors == {"ssl_node": 0.25}
    track = heard_live(bag, run).separated[DOG.id]
    assert track.start == 16000 and len(track.samples()) == 160


@pytest.mark.parametrize(("other", "sentence"), [
    (SimpleNamespace(label="cat"), "offline dog 0.750 at 0° from 1.000 s, 0.500 s long, in 2 windows, live cat"),
    (SimpleNamespace(score=0.7), "live dog 0.700"),
    (SimpleNamespace(duration_s=0.6), "0.600 s long"),
    (SimpleNamespace(azimuth=0.8), "only live: dog 0.750 at 46°"),
])
def test_each_difference_is_told(other, sentence):
    live = offline(Event(**{**vars(DOG), **vars(other), "id": 7}))
    assert sentence in " ".join(differences(offline(DOG), live))
    assert differences(offline(DOG), offline(DOG)) == []


def test_scores_may_differ_by_what_bf16_loses_and_many_differences_are_cut_short():
    near = Event(DOG.id, DOG.azimuth, DOG.label, DOG.onset_s, DOG.duration_s, 0.753)
    assert not differences(offline(DOG), offline(near))
    many = [Event(n, 0.0, "dog", float(n), 0.5) for n in range(9)]
    assert differences(offline(*many), offline())[-1] == "and 4 more"


def test_a_message_that_cannot_be_read_is_left_out_and_noted(bag, tmp_path):
    writer = RunWriter(tmp_path / "run")
    writer.write("events", b"\x00\x01\x00\x00nothing of the kind")
    writer.audio_came(START_NS)
    writer.close()
    run = read_run(tmp_path / "run")
    assert not run.windows and len(run.audio) == 1
    assert len(run.notes) == 1 and run.notes[0].startswith("a message on /events of run is left out: ")


@pytest.mark.parametrize("value", ["quick", "", "nan"])
def test_a_real_time_factor_that_is_no_number_is_left_out_and_noted(recorded, value):
    run = recorded((1.0, "/diagnostics", load(ssl_node="0.25")), (2.0, "/diagnostics", load(full_node=value)))
    assert run.factors == {"ssl_node": 0.25}
    assert run.notes == ["a message on /diagnostics of run is left out: the real-time factor of full_node is "
                         f"{value!r}, which is no number"]


@pytest.fixture
def played(bag, tmp_path, monkeypatch):
    """Plays a bag to processes that are no nodes: name -> Python of it."""
    monkeypatch.setattr(live_module, "NEEDED", ())

    def play_to(say=lambda line: None, **codes):
        monkeypatch.setattr(live_module, "command", lambda process: [
            sys.executable, "-c", codes.get(process.node.name, "import time; time.sleep(600)")])
        return play(bag.path, "overlap", Stage("full", 1.0, "auto"), Settings(), tmp_path, say)

    return play_to


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_whole_evaluation_and_not_one_bag_of_it(played, number):
    with pytest.raises(KeyboardInterrupt):
        played(lambda line: os.kill(os.getpid(), number), bag_player="print('playing', flush=True)")


def test_a_player_that_crashes_does_not_play_again_into_the_same_run(played):
    said = []
    with pytest.raises(ValueError, match="bag could not be played to .*bag_player ended with exit code 2"):
        played(said.append, bag_player="print('playing', flush=True); raise SystemExit(2)")
    assert said.count("[bag_player] playing") == 1


def test_where_no_ros_domain_is_free_the_bag_is_not_heard_and_the_reason_is_noted(bag, monkeypatch):
    monkeypatch.setattr(live_module, "NEEDED", ())
    monkeypatch.setattr("seld_overlap_ros.demo.DOMAINS", ())
    of_four = replace(offline(DOG), half_sector=np.pi / 4)
    heard, live = hear_live(bag, "overlap", Stage("full", 1.0, "auto"), Settings(), of_four)
    assert live is None and not heard.n_windows and "every ROS domain from 1 to 101 is in use" in heard.notes[0]
    assert heard.half_sector == of_four.half_sector  # for the page, which draws a timeline of it all the same


def test_a_run_whose_definitions_cannot_be_read_is_refused(tmp_path):
    with Writer(tmp_path / "run", version=Writer.VERSION_LATEST, storage_plugin=StoragePlugin.MCAP) as writer:
        for topic, kind in TYPES.items():
            writer.add_connection(topic, kind, msgdef="= none", rihs01="RIHS01_0")
    with pytest.raises(BagError, match="run holds message definitions that cannot be read: "):
        read_run(tmp_path / "run")


def test_what_is_no_run_is_refused(bag, tmp_path):
    with pytest.raises(BagError, match="bag is no recording of a run: make one with"):
        read_run(bag.path)
    with pytest.raises(BagError, match="no bag"):
        read_run(tmp_path / "none")
    with pytest.raises(ValueError, match="is there already: name another folder"):
        RunWriter(bag.path)
