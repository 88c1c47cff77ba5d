"""The full node over DDS: it hears what the library hears, and bad input costs a sentence in the log, no more."""

import array
import random
import re
import signal
import subprocess
import threading
import time

import numpy as np
import pytest

rclpy = pytest.importorskip("rclpy", reason="ROS 2 is not here")

from audio_common_msgs.msg import AudioDataStamped, AudioInfo  # noqa: E402
from rcl_interfaces.srv import SetParameters  # noqa: E402
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402
from rclpy.qos import DurabilityPolicy, QoSProfile  # noqa: E402
from seld_overlap.msg import LabelTable, SeparatedSource, SoundEventArray  # noqa: E402
from std_srvs.srv import SetBool  # noqa: E402

from seld_overlap_ros.config import FrontEnd  # noqa: E402
from seld_overlap_ros.graphs import CRASHED, FULL_NODE, Process  # noqa: E402
from seld_overlap_ros.hearing import Hearing, window_cost  # noqa: E402
from seld_overlap_ros.models.engine import load_engine  # noqa: E402
from seld_overlap_ros.nodes import audio_input, convert, full_node  # noqa: E402
from seld_overlap_ros.streaming.hop import SOON  # noqa: E402
from seld_overlap_ros.streaming.pcm import AudioFormat, decode, encode  # noqa: E402
from seld_overlap_ros.streaming.streams import Streams  # noqa: E402
from seld_overlap_ros.streaming.tracks import Tracks  # noqa: E402
from seld_overlap_ros.up import command  # noqa: E402

pytestmark = pytest.mark.ros
LIMIT_S = 60.0  # for anything that is waited for
SECOND = 1_000_000_000
RATE, WINDOW, CHUNK = 16000, 65792, 4000
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class Bench:
    """A full node in a thread of its own, and beside it a node that plays to it and takes what it says."""

    def __init__(self, model, capfd, **parameters):
        settings = {"model": str(model), **parameters}
        words = (word for name, value in settings.items() for word in ("-p", f"{name}:={value}"))
        rclpy.init(args=["--ros-args", *words])
        self.full = full_node.FullNode()
        self._capfd, self.log = capfd, ""
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.full)
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()
        self.node = rclpy.create_node("bench")
        self._own = SingleThreadedExecutor()
        self._own.add_node(self.node)
        self.events, self.separated, self.stamp_ns = {}, {}, 1_700_000_000 * SECOND
        self.info_out = self.node.create_publisher(AudioInfo, "audio_info", 1)
        self.audio_out = self.node.create_publisher(AudioDataStamped, "audio_stamped", 100)
        self.node.create_subscription(SoundEventArray, "events", self._on_events, 50)
        self.node.create_subscription(SeparatedSource, "separated", self._on_separated, 50)

    def meet(self):
        """Until both nodes know of each other's topics."""
        outs = [*self.full.publishers, self.info_out, self.audio_out]
        wanted = {self.node.resolve_topic_name(name) for name in ("events", "separated", "audio_info", "audio_stamped")}
        self.wait(lambda: all(out.get_subscription_count() for out in outs if out.topic_name in wanted))

    def _spin(self):
        try:
            self._executor.spin()
        except ExternalShutdownException:
            return

    def _on_events(self, message):
        self.events[convert.to_ns(message.header.stamp)] = message

    def _on_separated(self, message):
        self.separated.setdefault(convert.to_ns(message.event.header.stamp), []).append(message)

    def wait(self, met, limit_s=LIMIT_S):
        """Until something holds, in time."""
        deadline = time.monotonic() + limit_s
        while not met():
            assert time.monotonic() < deadline, f"waited in vain; the log says: {self.log}"
            self._own.spin_once(timeout_sec=0.02)
            self.log += self._capfd.readouterr().err

    def wait_for_log(self, sentence):
        self.wait(lambda: sentence in self.log)

    def describe(self, channels=8, rate=RATE, sample_format="S16LE", coding="wave"):
        self.info_out.publish(AudioInfo(channels=channels, sample_rate=rate, sample_format=sample_format,
                                        coding_format=coding))

    def send(self, data, stamp_ns, frame_id=""):
        """One chunk of bytes."""
        message = AudioDataStamped(header=convert.to_header(stamp_ns, frame_id))
        message.audio.data.frombytes(data)
        self.audio_out.publish(message)

    def play(self, samples, sample_format="S16LE", rate=RATE, stamp_ns=None, frame_id=""):
        """Samples (n, M) in chunks, the first at stamp_ns, or 100 s after what was played last. Returns its stamp."""
        if stamp_ns is None:
            self.stamp_ns = stamp_ns = self.stamp_ns + 100 * SECOND
        for first in range(0, len(samples), CHUNK):
            data = encode(samples[first : first + CHUNK], sample_format)
            self.send(data, stamp_ns + first * SECOND // rate, frame_id)
        return stamp_ns

    def hears(self, samples, sample_format="S16LE", rate=RATE, **played):
        """Describe and play a window. Returns what was heard in it."""
        self.describe(sample_format=sample_format, rate=rate)
        # There is no order between two topics.
        self.wait(lambda: self.full._listener._input.intake._format == AudioFormat(8, rate, sample_format))
        stamp_ns = self.play(samples, sample_format, rate, **played)
        self.wait(lambda: stamp_ns in self.events)
        return self.events[stamp_ns]

    def close(self):
        self._executor.shutdown()
        self._thread.join(LIMIT_S)
        self.full.close()
        self.full.destroy_node()
        self.node.destroy_node()
        self._own.shutdown()
        rclpy.shutdown()


@pytest.fixture
def open_bench(model, capfd):
    benches = []

    def opened(**parameters):
        benches.append(Bench(model, capfd, **parameters))
        benches[-1].meet()
        return benches[-1]

    yield opened
    for bench in benches:
        bench.close()


@pytest.fixture
def bench(open_bench):
    return open_bench(hop=4.0)


@pytest.fixture(scope="module")
def sound() -> np.ndarray:
    """One window (n, M), with a noise that comes and goes, so that events have an onset."""
    rng = np.random.default_rng(0)
    samples = rng.normal(0, 0.02, (WINDOW, 8))
    samples[20000:40000] += rng.normal(0, 0.3, (20000, 1))
    return np.clip(samples, -1, 0.99).astype(np.float32)


@pytest.mark.parametrize("sample_format", ["S16LE", "F32LE"])
def test_a_window_is_heard_as_by_the_library(bench, model, sound, sample_format):
    events = bench.hears(sound, sample_format=sample_format, frame_id="head")
    stamp_ns = convert.to_ns(events.header.stamp)
    hearing = Hearing(load_engine(model))
    heard_samples = decode(encode(sound, sample_format), AudioFormat(8, RATE, sample_format)).T
    tracks = Tracks(hearing.config, class_threshold=0.4)
    expected = tracks.update(stamp_ns, hearing(heard_samples))
    chunks = {chunk.sound.id: chunk for chunk in Streams(tracks).update(stamp_ns, expected)}
    assert {heard.direction for heard in expected} == {0, 3}
    assert events.header.frame_id == "head"
    assert events.window.sec + events.window.nanosec / 1e9 == pytest.approx(4.112)
    assert len(events.events) == len(expected)
    bench.wait(lambda: len(bench.separated.get(stamp_ns, [])) == len(expected) == len(chunks))
    separated = {message.event.id: message for message in bench.separated[stamp_ns]}
    for event, wanted in zip(sorted(events.events, key=lambda e: e.azimuth),
                             sorted(expected, key=lambda e: hearing.config.azimuths[e.direction]), strict=True):
        assert event.header == events.header
        assert event.azimuth == pytest.approx(hearing.config.azimuths[wanted.direction])
        assert event.azimuth_resolution == pytest.approx(np.pi / 4)
        assert event.direction_score == pytest.approx(wanted.direction_score, abs=1e-5)
        assert convert.to_ns(event.onset) == wanted.onset_ns
        assert event.duration.sec * SECOND + event.duration.nanosec == wanted.duration_ns
        scores = [(h.label, h.score) for h in event.hypotheses]
        assert [score for _, score in scores] == pytest.approx(sorted(wanted.class_scores, reverse=True), abs=1e-5)
        assert scores[0][0] == hearing.config.labels[wanted.class_scores.argmax()]
        assert (event.unknown, event.ended) == (wanted.unknown, wanted.ended)
        message = separated[event.id]
        assert message.event == event
        assert message.header == convert.to_header(chunks[wanted.id].stamp_ns, "head")
        assert (message.sequence, message.sample_rate) == (0, RATE)
        np.testing.assert_allclose(message.samples, chunks[wanted.id].samples, atol=1e-5)


def test_the_streams_of_several_windows_are_those_of_the_library(open_bench, model, sound):
    bench = open_bench(hop=1.0)
    long, hop = np.concatenate([sound, sound[: 3 * RATE]]), FrontEnd().whole_hops(1.0)
    start_ns = convert.to_ns(bench.hears(long[:WINDOW], sample_format="F32LE").header.stamp)
    for first in range(WINDOW, WINDOW + 3 * hop, hop):  # not faster than they are heard
        window_ns = start_ns + (first - WINDOW + hop) * SECOND // RATE
        bench.play(long[first : first + hop], "F32LE", stamp_ns=start_ns + first * SECOND // RATE)
        bench.wait(lambda window_ns=window_ns: window_ns in bench.events)
    hearing, tracks, known, expected = Hearing(load_engine(model)), Tracks(load_engine(model).config), (), []
    streams = Streams(tracks)
    for k in range(4):
        sources = hearing(long[k * hop :][:WINDOW].T, known)
        known = [source.direction for source in sources]
        window_ns = start_ns + k * hop * SECOND // RATE
        expected += streams.update(window_ns, tracks.update(window_ns, sources))
    assert len({chunk.sound.id for chunk in expected}) >= 2
    bench.wait(lambda: sum(map(len, bench.separated.values())) == len(expected))
    heard = {(m.event.id, m.sequence): m for window in bench.separated.values() for m in window}
    for chunk in expected:
        message = heard[chunk.sound.id, chunk.sequence]
        assert convert.to_ns(message.header.stamp) == chunk.stamp_ns
        assert message.event.ended == chunk.sound.ended
        np.testing.assert_allclose(message.samples, chunk.samples, atol=1e-5)


def test_the_labels_come_to_whoever_asks_later(bench, model):
    tables = []
    bench.node.create_subscription(LabelTable, "labels", tables.append, LATCHED)
    bench.wait(lambda: tables)
    assert tables[0].labels == ["bell", "dog", "door"]
    np.testing.assert_allclose(tables[0].azimuths, load_engine(model).config.azimuths, atol=1e-6)
    assert tables[0].model == str(model)


def test_hop_and_threshold_can_be_set_while_it_listens(open_bench, sound):
    bench = open_bench(hop=2.0)
    start_ns = convert.to_ns(bench.hears(sound).header.stamp)
    client = bench.node.create_client(SetParameters, "full_node/set_parameters")
    bench.wait(client.service_is_ready)

    def set_to(name, value):
        request = SetParameters.Request(parameters=[Parameter(name, value=value).to_parameter_msg()])
        answer = client.call_async(request)
        bench.wait(answer.done)
        return answer.result().results[0].successful

    assert set_to("hop", 3.2)
    assert set_to("direction_threshold", 1.0)
    assert not set_to("hop", 99.0)
    assert not set_to("hop", float("nan"))
    assert not set_to("model", "other")
    # the window at 2 s was already due when the hop was set; after it comes the one at 5.2 s
    for n_played, n_more, at_s in ((WINDOW, 2 * RATE, 2.0), (WINDOW + 2 * RATE, round(3.2 * RATE), 5.2)):
        bench.play(sound[:n_more], stamp_ns=start_ns + n_played * SECOND // RATE)
        at_ns = start_ns + round(at_s * SECOND)
        bench.wait(lambda at_ns=at_ns: at_ns in bench.events)
    heard = {(stamp_ns - start_ns) / SECOND: len(message.events) for stamp_ns, message in bench.events.items()}
    assert heard.pop(0.0) == 2
    assert heard == {2.0: 0, 5.2: 0}  # no direction has a probability of 1


def test_it_hears_again_after_it_was_stopped(bench, sound):
    client = bench.node.create_client(SetBool, "enable")
    assert len(bench.hears(sound).events) == 2
    for wanted in (False, True):
        answer = client.call_async(SetBool.Request(data=wanted))
        bench.wait(answer.done)
        assert answer.result().success
    bench.meet()
    assert len(bench.hears(sound).events) == 2


def test_silence_is_answered_with_no_events(bench, sound):
    assert list(bench.hears(np.zeros((WINDOW, 8), np.float32)).events) == []
    assert len(bench.hears(sound).events) == 2
    assert len(bench.separated) <= 1  # none for the silence


@pytest.mark.parametrize(
    ("description", "sentence"),
    [
        ({"channels": 2}, "audio refused: the audio has 2 channels and the model needs 8"),
        ({"sample_format": "U16BE"}, "audio refused: unknown sample format 'U16BE'"),
        ({"coding": "mp3"}, "start audio_capture with format:=wave"),
        ({"rate": 0}, "audio refused: a sample rate of 0 Hz"),
    ],
)
def test_audio_that_cannot_be_used_is_refused_until_it_can(bench, sound, description, sentence):
    bench.describe(**description)
    bench.wait_for_log(sentence)
    bench.play(sound[:CHUNK])
    assert len(bench.hears(sound).events) == 2
    assert bench.log.count(sentence) == 1


def test_odd_bytes_are_left_out(bench, sound):
    bench.describe()
    bench.send(bytes(1601), SECOND)
    bench.wait_for_log("audio refused: a chunk of 1601 bytes is no whole number of 8-channel S16LE frames")
    assert len(bench.hears(sound).events) == 2


def test_what_is_no_number_counts_as_silence(bench, sound):
    broken = sound.copy()
    broken[1000:2000, 3] = np.nan
    broken[3000] = np.inf
    events = bench.hears(broken, sample_format="F32LE")
    assert len(events.events) == 2
    assert np.isfinite([event.direction_score for event in events.events]).all()
    bench.wait_for_log("are NaN, infinite or absurdly large and count as 0")


def test_another_rate_is_resampled(bench, sound):
    at_48k = np.repeat(sound, 3, axis=0)
    # the resampler holds back its last moments until more comes
    events = bench.hears(np.concatenate([at_48k, at_48k[:CHUNK]]), rate=48000)
    assert len(events.events) == 2
    bench.wait_for_log("audio at 48000 Hz is resampled to the model's 16000 Hz")


def test_a_gap_is_bridged(bench, sound):
    start_ns = bench.play(sound[:40000])  # it waits for the description
    bench.play(sound[48000:], stamp_ns=start_ns + 48000 * SECOND // RATE)
    bench.describe()
    bench.wait(lambda: start_ns in bench.events)
    bench.wait_for_log("0.500 s of audio are missing and count as silence")


def test_stamps_that_jump_back_start_anew(bench, sound):
    bench.hears(sound)
    earlier_ns = bench.play(sound, stamp_ns=bench.stamp_ns - 5000 * SECOND)
    bench.wait(lambda: earlier_ns in bench.events)
    bench.wait_for_log("the audio's stamps jump back by")
    ids = [{event.id for event in events.events} for events in bench.events.values()]
    assert not ids[0] & ids[-1]


def bad_message(rng: random.Random):
    """A message that no sane source sends."""
    kind = rng.randrange(4)
    if kind == 0:
        return AudioInfo(channels=rng.choice([8, 8, 8, 0, 255]), sample_rate=rng.choice([16000, 16000, 48000, 7]),
                         sample_format=rng.choice(["S16LE", "F32LE", "F32LE", "F64LE", "nonsense" * 1000]),
                         coding_format=rng.choice(["wave", "wave", "wave", "mp3"]))
    if kind == 1:
        data = rng.randbytes(rng.choice([0, 1, 3, 1601, 6400]))
    elif kind == 2:
        numbers = np.array([rng.choice([np.nan, np.inf, -1e38, 1e-40, 0.5]) for _ in range(1600)])
        data = numbers.astype(rng.choice(["<f4", "<f8"])).tobytes()
    else:
        data = bytes(rng.choice([2, 64_000, 1_000_000]))
    stamp_ns = rng.choice([0, 1, SECOND, rng.randrange(10 * SECOND), 2**31 * SECOND - 1])
    message = AudioDataStamped(header=convert.to_header(stamp_ns, rng.choice(["", "x" * 5000])))
    message.audio.data = array.array("B", data)
    return message


def test_bad_messages_by_the_hundred_are_said_and_good_audio_is_heard_after_them(bench, sound, monkeypatch):
    rng, intake, taken, n_sent, n_lost = random.Random(0), bench.full._listener._input.intake, [], 0, 0
    push = intake.push
    monkeypatch.setattr(intake, "push", lambda chunk: (taken.append(chunk), push(chunk))[1])
    bench.describe(channels=3)
    bench.wait_for_log("audio refused")
    for k in range(1000):
        message = bad_message(rng)
        n_sent += isinstance(message, AudioDataStamped)
        (bench.info_out if isinstance(message, AudioInfo) else bench.audio_out).publish(message)
        if k % 10 == 9:  # it reads best effort: no more at once than it keeps, and what is lost is not waited for
            deadline = time.monotonic() + 1.0
            bench.wait(lambda n=n_sent - n_lost, end=deadline: len(taken) >= n or time.monotonic() > end)
            n_lost = n_sent - len(taken)
    assert len(taken) > 0.9 * n_sent > 600
    assert intake.counts.refused > 100
    assert intake.counts.chunks > 30
    assert intake.counts.unusable > 1000
    assert not bench.full.done.done()
    bench.stamp_ns += 10**6 * SECOND
    assert len(bench.hears(sound).events) == 2


def test_audio_without_audio_info_is_taken_as_the_parameters_say(open_bench, sound, monkeypatch):
    monkeypatch.setattr(audio_input, "INFO_WAIT_S", 0.5)
    bench = open_bench(hop=4.0, sample_format="S32LE")
    stamp_ns = bench.play(sound, sample_format="S32LE")
    bench.wait(lambda: stamp_ns in bench.events)
    assert len(bench.events[stamp_ns].events) == 2
    sentence = "no /audio_info: the audio is taken for 8 channels of S32LE at 16000 Hz"
    bench.wait_for_log(sentence)
    assert bench.log.count(sentence) == 1


def test_no_audio_at_all_is_said(open_bench, monkeypatch):
    monkeypatch.setattr(audio_input, "AUDIO_WAIT_S", 0.1)
    open_bench().wait_for_log("no audio on /audio_stamped yet: is its source started, and there?")


def test_audio_that_ends_is_said(open_bench, sound, monkeypatch):
    monkeypatch.setattr(audio_input, "AUDIO_WAIT_S", 1.5)
    bench = open_bench(hop=4.0)
    bench.hears(sound)
    bench.wait_for_log("no more audio on /audio_stamped for ")
    assert re.search(r"no more audio on /audio_stamped for \d+ s: is its source still running\?", bench.log)
    assert bench.log.count("no more audio") == 1


def test_of_audio_that_waited_for_its_format_the_last_window_is_heard(open_bench, sound, monkeypatch):
    monkeypatch.setattr(audio_input, "INFO_WAIT_S", 3.0)
    bench = open_bench(hop=0.25)
    stamp_ns = bench.play(np.concatenate([sound, sound[:RATE]]))
    bench.wait(lambda: bench.events)
    assert list(bench.events) == [stamp_ns + 3 * FrontEnd().whole_hops(0.25) * SECOND // RATE]
    assert "set a longer hop" not in bench.log


def test_windows_that_are_left_out_are_said(open_bench, sound):
    bench = open_bench(hop=0.05)
    bench.hears(sound)
    bench.play(sound, stamp_ns=bench.stamp_ns + WINDOW * SECOND // RATE)
    bench.wait_for_log("a window is left out, as windows come faster than they are heard")


def test_a_hop_left_to_the_node_fits_it_and_goes_on_to_fit(open_bench, sound):
    bench = open_bench(hop="auto")
    bench.wait_for_log("hop: auto: a window every ")
    listener = bench.full._listener
    hop_s = float(bench.full.watched["hop"]().values["hop [s]"])
    assert hop_s > window_cost(bench.full._hearing.engine) / 5  # twice that of a machine ten times as busy
    first = convert.to_ns(bench.hears(sound).header.stamp)
    second = first + round(hop_s * SECOND)
    bench.play(sound[: round(hop_s * RATE)], stamp_ns=first + WINDOW * SECOND // RATE)
    bench.wait(lambda: second in bench.events)
    for _ in range(SOON):
        listener.took(20.0)  # it has become slow
    assert bench.full.watched["hop"]().values["hop [s]"] == "3.072"
    assert listener._input.intake.stream.hop_samples == 3.072 * RATE
    [answer] = bench.full.set_parameters([Parameter("hop", value=2.0)])
    assert answer.successful and "hop" not in bench.full.watched
    assert listener._input.intake.stream.hop_samples == 2 * RATE
    [answer] = bench.full.set_parameters([Parameter("hop", value="soon")])
    assert not answer.successful and answer.reason == "hop must be auto, or lie in [0.05, 4], got 'soon'"


def test_a_failure_of_the_hearing_ends_the_node_with_a_reason(bench, sound, monkeypatch):
    monkeypatch.setattr(bench.full, "_hearing", lambda samples, known: 1 / 0)
    bench.play(sound)
    bench.describe()
    bench.wait(bench.full.done.done)
    assert bench.full.done.result() == CRASHED
    bench.wait_for_log("full_node failed: ZeroDivisionError")


def run_main(capfd, *arguments) -> tuple[int, str]:
    code = full_node.main(["--ros-args", *arguments])
    return code, capfd.readouterr().err


def test_a_model_that_cannot_be_loaded_ends_in_a_sentence(tmp_path, capfd):
    (tmp_path / "model.safetensors").write_text("no model")
    code, said = run_main(capfd, "-p", f"model:={tmp_path / 'model.safetensors'}")
    assert code == 1
    assert "whole safetensors file" in said
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["-p", "class_threshold:=1"], "parameter 'class_threshold' to '1' of type 'INTEGER', expecting type 'DOUBLE'"),
        (["-p", "classes:=door,dog_brak"], "classes: 'dog_brak' is no class of the model; did you mean dog_bark?"),
        (["-p", "hop:=99.0"], "Parameter hop out of range Min: 0.05, Max: 4.0, value: 99.0"),
        (["-p", "hop:=soon"], "hop must be auto, or lie in [0.05, 4], got 'soon'"),
        (["--params-file", "nowhere.yaml"], "Couldn't parse params file"),
    ],
)
def test_parameters_that_make_no_sense_end_in_a_sentence(capfd, arguments, sentence):
    code, said = run_main(capfd, *arguments)
    assert code == 1
    assert sentence in said
    assert "Traceback" not in said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_in_peace(model, number):
    line = command(Process(FULL_NODE, "", "", {"model": str(model)}))
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        first = process.stdout.readline() + process.stdout.readline()
        process.send_signal(number)
        rest = process.communicate(timeout=LIMIT_S)[0]
    assert "listening to /audio_stamped for bell, dog, door" in first
    assert "Traceback" not in rest
    assert process.returncode == 0
