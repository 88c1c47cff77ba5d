"""Bags through the library: as full_node hears them, the same each time, and side by side as alone."""

import numpy as np
import pytest
import soundfile

from seld_overlap_ros.bags.reading import read_bag
from seld_overlap_ros.bags.scenes import from_scene
from seld_overlap_ros.bags.writing import START_NS, write_bag
from seld_overlap_ros.evaluation.replay import Settings, hear_all
from seld_overlap_ros.hearing import Hearing
from seld_overlap_ros.models.engine import DEFAULT_MODEL, load_engine
from seld_overlap_ros.streaming.sources import find_scene
from seld_overlap_ros.streaming.streams import Streams
from seld_overlap_ros.streaming.tracks import Tracks

RATE, SECONDS = 16000, 7


@pytest.fixture(scope="module")
def system():
    return load_engine(DEFAULT_MODEL)


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """The first seconds of the demo's scene as a bag."""
    folder = tmp_path_factory.mktemp("demo")
    samples, rate = soundfile.read(find_scene("demo"), dtype="float32", stop=SECONDS * RATE)
    soundfile.write(folder / "demo.flac", samples, rate, subtype="PCM_16")
    (folder / "demo.json").write_text(find_scene("demo").with_suffix(".json").read_text())
    write_bag(folder / "bag", from_scene(folder / "demo.flac"))
    return read_bag(folder / "bag")


@pytest.fixture(scope="module")
def samples():
    """What the bag holds (M, n)."""
    scene = soundfile.read(find_scene("demo"), dtype="float32", stop=SECONDS * RATE)[0]
    return np.concatenate((scene, np.zeros((RATE, 8), np.float32))).T


def test_a_bag_is_heard_as_full_node_does_it(demo, samples, system):
    """Step by step as FullNode._hear and EventOutput.publish, on the samples of the sound file."""
    hearing, tracks, known, expected, chunks = Hearing(system), Tracks(system.config, 0.4), [], {}, []
    streams = Streams(tracks)
    hop = system.config.front_end.whole_hops(1.0)
    for start in range(0, samples.shape[1] - 65792 + 1, hop):
        sources = hearing(samples[:, start : start + 65792], known)
        known = [source.direction for source in sources]
        window_ns = START_NS + start * 62500
        sounds = tracks.update(window_ns, sources)
        expected |= {sound.id: sound for sound in [*sounds, *tracks.ended]}
        chunks += streams.update(window_ns, sounds)
    (got,) = hear_all([demo], {"overlap": system}, Settings(hop_s=1.0))["overlap"]
    assert got.half_sector == pytest.approx(np.pi / 8)
    assert got.n_windows == len(got.looks) == 4 and len(got.events) == len(expected) > 2
    for event in got.events:
        sound = expected[event.id]
        label = None if sound.unknown else system.config.labels[int(sound.class_scores.argmax())]
        assert (event.label, event.onset_s) == (label, pytest.approx((sound.onset_ns - START_NS) / 1e9, abs=1e-6))
        assert event.azimuth == pytest.approx(system.config.azimuths[sound.direction])
    assert {chunk.sound.id for chunk in chunks} == set(got.separated)
    for chunk in chunks:
        first = round((chunk.stamp_ns - START_NS) * RATE / 1e9)
        np.testing.assert_array_equal(got.separated[chunk.sound.id].between(first, first + len(chunk.samples)),
                                      chunk.samples)
    end = 65792 + 3 * hop
    np.testing.assert_array_equal(got.mixture.between(0, end), samples[0, :end])


def test_systems_side_by_side_hear_what_each_hears_alone_and_the_progress_counts_every_chunk(demo, system):
    ticks = []
    settings = Settings(hop_s=2.0)
    systems = {"a": system, "b": load_engine(DEFAULT_MODEL)}
    both = hear_all([demo], systems, settings, lambda: ticks.append(1), threads=2)
    (alone,) = hear_all([demo], {"a": system}, settings)["a"]
    assert len(ticks) == 2 * demo.n_chunks == 160
    for (got,) in both.values():
        assert (got.events, got.reported_s, got.looks) == (alone.events, alone.reported_s, alone.looks)
        assert got.events and got.separated.keys() == alone.separated.keys()
        for known, track in got.separated.items():
            np.testing.assert_array_equal(track.samples(), alone.separated[known].samples())
