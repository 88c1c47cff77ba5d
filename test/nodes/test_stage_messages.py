"""Whatever a message between stages holds, it is refused in a sentence or goes through; no node dies of it."""

from collections import Counter

import numpy as np
import pytest

rclpy = pytest.importorskip("rclpy", reason="ROS 2 is not here")

from builtin_interfaces.msg import Time  # noqa: E402
from hypothesis import HealthCheck, given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from seld_overlap.msg import AudioWindow, DirectionActivity, SeparatedSpectra, SoundEventArray  # noqa: E402
from std_msgs.msg import Header  # noqa: E402

from seld_overlap_ros.dsp.features import analyse  # noqa: E402
from seld_overlap_ros.hearing import classify, first_weights, join, separate  # noqa: E402
from seld_overlap_ros.models.engine import load_engine  # noqa: E402
from seld_overlap_ros.nodes import convert  # noqa: E402
from seld_overlap_ros.streaming.streams import Streams  # noqa: E402
from seld_overlap_ros.streaming.tracks import Tracks  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:Generating overly large repr")  # of a message that is not borne
MICROPHONES, SAMPLES, BINS, FRAMES, DIRECTIONS, RATE = 8, 65792, 256, 256, 8, 16000
MANY = settings(deadline=None, max_examples=150,
                suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
FEW = settings(MANY, max_examples=40)
GOOD_STAMP = Time(sec=1_700_000_000)


def usually(good, other):
    """So that many messages are wrong in one thing alone, and some in none."""
    return st.integers(0, 7).flatmap(lambda n: other if n == 7 else good)


counts = st.sampled_from([0, 1, 2, 7, 8, 9, 255, 256, 257, 2**16 - 1])
wide_counts = counts | st.sampled_from([2**31, 2**32 - 1])
stamps = st.builds(Time, sec=st.integers(-(2**31), 2**31 - 1) | st.sampled_from([-(2**31), 2**31 - 1, 0, -1]),
                   nanosec=st.integers(0, 2**32 - 1) | st.sampled_from([0, 10**9, 2**32 - 1]))
headers = st.builds(Header, stamp=stamps, frame_id=st.text(max_size=3))
floats = st.floats(width=32) | st.floats(0, 1, width=32)
choices = st.permutations(range(DIRECTIONS)).flatmap(lambda order: st.integers(0, DIRECTIONS).map(lambda n: order[:n]))
indices = usually(choices, st.lists(st.integers(0, DIRECTIONS + 1) | st.just(2**16 - 1), max_size=10))


@st.composite
def values(draw, size):
    """So many floats: noise, most of it in [0, 1], with some samples that may be anything."""
    filled = np.random.default_rng(draw(st.integers(0, 9))).random(size, np.float32)
    filled *= draw(usually(st.just(1), st.sampled_from([0, 1e38])))
    for value in draw(usually(st.just([]), st.lists(floats, max_size=2))) if size else []:
        filled[draw(st.integers(0, size - 1))] = value
    return convert.to_floats(filled.astype(np.float32))


sizes = st.sampled_from([0, 1, SAMPLES, MICROPHONES * SAMPLES - 1, MICROPHONES * SAMPLES, MICROPHONES * SAMPLES + 1])
windows = st.builds(AudioWindow, header=headers, sample_rate=usually(st.just(RATE), wide_counts),
                    channels=usually(st.just(MICROPHONES), counts),
                    samples=usually(st.just(MICROPHONES * SAMPLES), sizes).flatmap(values))
activities = st.builds(DirectionActivity, header=headers, directions=indices,
                       scores=usually(st.just(DIRECTIONS), counts).flatmap(values))


@st.composite
def spectra(draw):
    directions, n_bins, n_frames = (draw(indices), draw(usually(st.just(BINS), wide_counts)),
                                    draw(usually(st.just(FRAMES), wide_counts)))
    size = len(directions) * n_bins * n_frames
    size = draw(usually(st.just(size), counts)) if size < 2**20 else draw(counts)
    n_scores = draw(usually(st.just(len(directions)), counts))
    return SeparatedSpectra(header=draw(headers), directions=directions, direction_scores=draw(values(n_scores)),
                            n_bins=n_bins, n_frames=n_frames, log_mag=draw(values(size)))


@pytest.fixture(scope="module")
def engine(model):
    return load_engine(str(model))


def read(decode, *args):
    """What a message decodes to, None if it is refused, which a sentence must say."""
    try:
        return decode(*args)
    except ValueError as error:
        assert str(error) and "\n" not in str(error)
        return None


def test_any_window_and_activity_are_separated_or_refused(engine):
    good = np.random.default_rng(0).uniform(-0.1, 0.1, (MICROPHONES, SAMPLES)).astype(np.float32)

    @FEW
    @given(windows, activities)
    def check(window, activity):
        samples, decoded = read(convert.from_window, window, engine.config), read(
            convert.from_activity, activity, engine.config)
        features, _ = analyse(good if samples is None else samples, engine.config.front_end)
        if decoded is not None:
            said = convert.to_spectra(window.header, separate(engine, features, decoded, 0))
            assert list(convert.from_spectra_of(said, engine.config).directions) == list(activity.directions)

    check()


def test_any_two_spectra_are_joined_or_refused():
    @MANY
    @given(spectra(), spectra(), st.booleans())
    def check(one, other, alike):
        decoded = [read(convert.from_spectra, message) for message in (one, one if alike else other)]
        if None not in decoded and (joined := read(join, decoded)) is not None:
            said = convert.to_spectra(one.header, joined)
            assert len(convert.to_gate_weights(one.header, joined.directions, first_weights(decoded)).weights) == len(
                said.log_mag)
            assert list(convert.from_spectra(said).directions) == list(one.directions)

    check()


def test_any_spectra_are_classified_or_refused_with_any_stamps(engine):
    config = engine.config

    @MANY
    @given(st.lists(st.tuples(windows, spectra()), min_size=1, max_size=3))
    def check(messages):
        tracks = Tracks(config)
        streams = Streams(tracks)
        for window, spectra_ in messages:
            samples = read(convert.from_window, window, config)
            decoded = read(convert.from_spectra_of, spectra_, config)
            if samples is None or decoded is None:
                continue
            seen["whole"] += 1
            stamp_ns = convert.to_ns(window.header.stamp)
            sounds = tracks.update(stamp_ns, classify(engine, analyse(samples[:1], config.front_end)[1], decoded))
            for event in convert.to_event_array(window.header, sounds, tracks.ended, config).events:
                assert event.id > 0 and np.isfinite(event.hypotheses[0].score)
            for chunk in streams.update(stamp_ns, sounds):
                assert np.isfinite(convert.to_separated(window.header, chunk, config).samples).all()

    seen = Counter()
    check()
    assert seen["whole"] > 5


def good_window(stamp):
    noise = np.random.default_rng(0).uniform(-0.1, 0.1, (MICROPHONES, SAMPLES))
    return AudioWindow(header=Header(stamp=stamp), sample_rate=RATE, channels=MICROPHONES,
                       samples=convert.to_floats(noise))


def good_activity(stamp):
    return DirectionActivity(header=Header(stamp=stamp), scores=[0.9] * DIRECTIONS, directions=[3, 0])


def good_spectra(stamp):
    return SeparatedSpectra(header=Header(stamp=stamp), directions=[3, 0], direction_scores=[0.9, 0.8], n_bins=BINS,
                            n_frames=FRAMES, log_mag=convert.to_floats(np.full((2, BINS, FRAMES), 0.9)))


STAGES = {  # what a node listens to, any message and a good one of each topic; and what it answers
    "sss_node": ({"window": (AudioWindow, windows, good_window),
                  "activity": (DirectionActivity, activities, good_activity)}, "spectra_0", SeparatedSpectra),
    "gate_node": ({f"spectra_{n}": (SeparatedSpectra, spectra(), good_spectra) for n in (0, 1)}, "spectra",
                  SeparatedSpectra),
    "ssc_node": ({"window": (AudioWindow, windows, good_window),
                  "spectra": (SeparatedSpectra, spectra(), good_spectra)}, "events", SoundEventArray),
}
DECODERS = ("from_window", "from_activity", "from_spectra", "from_spectra_of")


@pytest.mark.ros
@pytest.mark.parametrize("name", STAGES)
def test_a_node_hears_a_good_window_after_hundreds_of_any(open_stand, model, monkeypatch, name):
    taken = Counter()

    def counted(decode):
        def decoding(*args):
            taken["messages"] += 1
            return decode(*args)
        return decoding

    for each in DECODERS:
        if not (name == "ssc_node" and each == "from_spectra"):  # from_spectra_of calls it
            monkeypatch.setattr(convert, each, counted(getattr(convert, each)))
    topics, answer, kind = STAGES[name]
    stand = open_stand(name, **({} if name == "gate_node" else {"model": str(model)}))
    heard = []
    stand.node.create_subscription(kind, answer, heard.append, 5)
    outs = {topic: stand.node.create_publisher(of, topic, 5) for topic, (of, _, _) in topics.items()}
    stand.wait(lambda: all(out.get_subscription_count() for out in outs.values()))
    stand.wait(lambda: stand.node.count_publishers(answer))

    @settings(MANY, max_examples=100)
    @given(st.tuples(*(any_message for _, any_message, _ in topics.values())), st.booleans(), stamps)
    def send(messages, together, stamp):
        sent = taken["messages"] + len(outs)
        for out, message in zip(outs.values(), messages, strict=True):
            if together:
                message.header.stamp = stamp
            out.publish(message)
        stand.wait(lambda: taken["messages"] >= sent)

    send()
    heard.clear()
    for out, (_, _, good) in zip(outs.values(), topics.values(), strict=True):
        out.publish(good(GOOD_STAMP))
    stand.wait(lambda: any(message.header.stamp == GOOD_STAMP for message in heard))
    assert taken["messages"] >= 200
    assert not stand.managed.done.done()
