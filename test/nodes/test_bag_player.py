"""The bag player and the run recorder over DDS: what is in a bag arrives to the byte, on its clock, and they wait."""

import threading
import time
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest

rclpy = pytest.importorskip("rclpy", reason="ROS 2 is not here")

from audio_common_msgs.msg import AudioDataStamped, AudioInfo  # noqa: E402
from lifecycle_msgs.msg import State  # noqa: E402
from lifecycle_msgs.srv import GetState  # noqa: E402
from rclpy.client import Client  # noqa: E402
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy  # noqa: E402
from rclpy.task import Future  # noqa: E402
from rosgraph_msgs.msg import Clock  # noqa: E402
from seld_overlap.msg import LabelTable, SoundEventArray  # noqa: E402

from seld_overlap_ros.bags.scenes import BagScene  # noqa: E402
from seld_overlap_ros.bags.writing import START_NS, write_bag  # noqa: E402
from seld_overlap_ros.messages import SECOND, to_ns  # noqa: E402
from seld_overlap_ros.nodes import bag_player, convert, run_recorder, waiting  # noqa: E402
from seld_overlap_ros.streaming.pcm import AudioFormat, encode  # noqa: E402

pytestmark = pytest.mark.ros
RATE, CHUNK, N_CHUNKS = 16000, 1600, 30


@pytest.fixture
def chunks():
    noise = np.random.default_rng(0).uniform(-0.3, 0.3, (N_CHUNKS, CHUNK, 2))
    return noise.astype(np.float32)


@pytest.fixture
def bag(tmp_path, chunks):
    write_bag(tmp_path / "bag", BagScene("noise", AudioFormat(2, RATE, "S16LE"), chunks, ()))
    return tmp_path / "bag"


@pytest.fixture
def ear():
    """A node that hears audio, its format and the clock; with `hears`, windows of 1 s every 0.5 s, with some delay."""
    context = rclpy.Context()
    rclpy.init(context=context)
    node = rclpy.create_node("ear", context=context)
    node.chunks, node.infos, node.times, node.hears, node.heard, node.ahead = [], [], [], False, 0, []
    node.came = []  # when each chunk did [s]
    events = node.create_publisher(SoundEventArray, "events", 10)

    def answer(stamp_ns):
        node.heard += 1
        events.publish(SoundEventArray(header=convert.to_header(stamp_ns, ""), window=convert.to_duration(SECOND)))

    def on_audio(message):
        node.chunks.append(message)
        node.came.append(time.monotonic())
        n = len(node.chunks)
        node.ahead.append(n - 10 - 5 * node.heard)  # chunks beyond the window that is to be heard next
        if node.hears and n >= 10 and n % 5 == 0:
            threading.Timer(0.1, answer, [START_NS + (n - 10) * SECOND // 10]).start()

    node.create_subscription(AudioDataStamped, "audio_stamped", on_audio, 100)
    node.create_subscription(AudioInfo, "audio_info", node.infos.append, 10)
    best_effort = QoSProfile(depth=100, reliability=ReliabilityPolicy.BEST_EFFORT)
    node.create_subscription(Clock, "/clock", lambda message: node.times.append(to_ns(message.clock)), best_effort)
    executor = rclpy.executors.SingleThreadedExecutor(context=context)
    executor.add_node(node)
    thread = threading.Thread(target=executor.spin)
    thread.start()
    yield node
    executor.shutdown()
    thread.join()
    node.destroy_node()
    rclpy.shutdown(context=context)


def run(module, **parameters):
    args = [word for name, value in parameters.items() for word in ("-p", f"{name}:={value}")]
    return module.main(["--ros-args", *args])


def test_a_bag_arrives_to_the_byte_on_its_own_clock(bag, ear, chunks):
    assert run(bag_player, bag=bag, rate=5.0, listeners=1) == 0
    assert [bytes(message.audio.data) for message in ear.chunks] == [bytes(encode(one, "S16LE")) for one in chunks]
    stamps = [to_ns(message.header.stamp) for message in ear.chunks]
    assert stamps == [START_NS + n * SECOND // 10 for n in range(N_CHUNKS)]
    assert (ear.infos[0].channels, ear.infos[0].sample_rate) == (2, RATE)
    assert ear.times == sorted(ear.times) and len(ear.times) > N_CHUNKS
    assert START_NS <= ear.times[0] and ear.times[-1] == START_NS + N_CHUNKS * SECOND // 10


def test_in_step_no_window_is_sent_before_the_one_before_has_been_heard(bag, ear):
    ear.hears = True
    assert run(bag_player, bag=bag, rate=0.0, window=1.0, hop=0.5, listeners=1) == 0
    assert len(ear.chunks) == N_CHUNKS and ear.heard >= 4
    assert max(ear.ahead) <= 2


def test_in_step_small_chunks_come_a_few_at_a_time():
    sent = []
    player = SimpleNamespace(_next_end_s=4.112, value={"window": 4.112}.get, _tell=print,
                             _send=lambda *message: sent.append(message))
    small = ((True, START_NS + n * SECOND // 100, b"") for n in range(300))
    counts = [len(sent) for _ in bag_player.BagPlayer._in_step(player, small)]
    assert len(sent) == 300
    assert max(after - before for before, after in pairwise([*counts, 300])) <= bag_player.BURST


def test_in_step_the_next_window_ends_after_the_hop_that_the_graph_makes_of_the_asked_one():
    player = SimpleNamespace(_first_ns=None, _heard_ns=0, value={"hop": 0.06}.get)  # whole frames of it are 0.064 s
    for n in range(2):
        window = SoundEventArray(header=convert.to_header(START_NS + n * SECOND * 64 // 1000, ""),
                                 window=convert.to_duration(SECOND))
        bag_player.BagPlayer._on_events(player, window)
    assert player._next_end_s == pytest.approx(1.0 + 2 * 0.064)


def test_in_step_after_a_pause_of_the_audio_listening_begins_anew(monkeypatch):
    monkeypatch.setattr(bag_player, "SETTLE_S", 0.0)
    sent, told, ahead = [], [], []
    player = SimpleNamespace(_first_ns=None, _heard_ns=0, _next_end_s=1.0, value={"window": 1.0, "hop": 0.5}.get,
                             _tell=print, _send=lambda *_: sent.append(_))
    pieces = (0, 60, 200)  # [s]: each 3 s of audio, windows of 1 s every 0.496 s
    times = [START_NS + piece * SECOND + n * SECOND // 10 for piece in pieces for n in range(1, 31)]
    for _ in bag_player.BagPlayer._in_step(player, iter([(True, ns, b"") for ns in times])):
        piece, n = divmod(len(sent), 30)
        complete = [0.496 * k for k in range(5) if 1 + 0.496 * k <= n / 10]
        ahead.append(n / 10 - 1 - 0.496 * len(complete))
        due = [(pieces[one], at) for one in range(piece) for at in (0.0, 0.496, 0.992, 1.488, 1.984)]
        due += [(pieces[piece], at) for at in complete] if piece < 3 else []
        for began, at in due[len(told) : len(told) + 1]:  # one answer at a time
            told.append(at)
            bag_player.BagPlayer._on_events(player, SoundEventArray(
                header=convert.to_header(START_NS + began * SECOND + round(at * SECOND), ""),
                window=convert.to_duration(SECOND)))
    assert len(sent) == 90 and max(ahead) < 0.5 + 0.1 * bag_player.BURST


def test_in_step_with_a_graph_that_says_nothing_it_says_so_and_plays_on(bag, ear, monkeypatch, capfd):
    monkeypatch.setattr(bag_player, "PATIENCE_S", 1.0)
    assert run(bag_player, bag=bag, rate=0.0, window=1.0, hop=0.5, listeners=1) == 0
    assert "no events within 1 s: playing on in real time" in capfd.readouterr().err
    assert len(ear.chunks) == N_CHUNKS and max(ear.ahead) == N_CHUNKS - 10
    first = 12  # of the chunks after the silence: those before make the window that nobody answered, and a bit more
    assert ear.came[-1] - ear.came[first] > 0.1 * (N_CHUNKS - first) / 2  # in real time, as far as a busy machine can


def test_what_is_no_bag_ends_in_a_sentence(tmp_path, capfd):
    assert run(bag_player, bag=tmp_path / "none") == 1
    assert "no bag" in capfd.readouterr().err


def test_a_recorder_says_whom_it_waits_for_in_vain(tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(run_recorder, "READY_S", 0.5)
    assert run(run_recorder, folder=tmp_path / "run", nodes="nobody,no_one") == 1
    assert "nobody, no_one not active after 0.5 s: see what they say" in capfd.readouterr().err


def test_a_recorder_asks_again_where_no_answer_comes(ear, tmp_path, monkeypatch):
    monkeypatch.setattr(waiting, "ANSWER_S", 0.5)
    ear.create_service(GetState, "ear/get_state", lambda _, answer: ready(answer))
    asked, call = [], Client.call_async
    monkeypatch.setattr(Client, "call_async", lambda client, request: asked.append(call(client, request)) or (
        asked[-1] if len(asked) > 1 else Future()))  # the first answer goes astray
    rclpy.init(args=["--ros-args", "-p", f"folder:={tmp_path / 'run'}", "-p", "nodes:=ear"])
    recorder = run_recorder.RunRecorder()
    deadline = time.monotonic() + 30.0
    while recorder._audio is None and time.monotonic() < deadline:
        rclpy.spin_once(recorder, timeout_sec=0.1)
    recorder.close()
    recorder.destroy_node()
    rclpy.shutdown()
    assert recorder._audio is not None and len(asked) >= 2


def ready(answer):
    answer.current_state.id = State.PRIMARY_STATE_ACTIVE
    return answer


def test_a_recorder_to_which_a_player_played_no_audio_ends_in_a_sentence(ear, tmp_path, monkeypatch, capfd):
    clocks, look = [ear.create_publisher(Clock, "/clock", 1)], run_recorder.RunRecorder._look_for_player

    def until_found(recorder):
        look(recorder)
        if recorder._n_gone == 0 and clocks:
            ear.destroy_publisher(clocks.pop())

    monkeypatch.setattr(run_recorder.RunRecorder, "_look_for_player", until_found)
    assert run(run_recorder, folder=tmp_path / "run", end_after=0.5) == 1
    assert "a bag was played, and no audio came on /audio_stamped: is its audio in" in capfd.readouterr().err


def test_a_recorder_stays_while_the_bag_goes_on_without_audio(ear, tmp_path, monkeypatch):
    monkeypatch.setattr(run_recorder, "STALLED_S", 1.0)
    audio = ear.create_publisher(AudioDataStamped, "audio_stamped", 10)
    clock, told = ear.create_publisher(Clock, "/clock", 1), []
    audio_timer = ear.create_timer(0.1, lambda: audio.publish(AudioDataStamped()) if len(told) < 10 else None)

    def tell():
        if recorder._n_quiet is not None and len(told) < 40:  # 4 s of clock, audio in the first one only
            clock.publish(Clock())
            told.append(time.monotonic())

    rclpy.init(args=["--ros-args", "-p", f"folder:={tmp_path / 'run'}"])
    recorder = run_recorder.RunRecorder()
    clock_timer, deadline = ear.create_timer(0.1, tell), time.monotonic() + 60.0
    while not recorder.done.done() and time.monotonic() < deadline:
        rclpy.spin_once(recorder, timeout_sec=0.1)
    assert recorder.done.done() and len(told) == 40 and time.monotonic() - told[-1] > 0.5
    for timer in (audio_timer, clock_timer):
        ear.destroy_timer(timer)
    recorder.close()
    recorder.destroy_node()
    rclpy.shutdown()


def test_a_recorder_says_that_the_disk_is_full(bag, ear, tmp_path, monkeypatch, capfd):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(run_recorder.RunWriter, "write", full)
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    ear.create_publisher(LabelTable, "labels", latched).publish(LabelTable())
    assert run(run_recorder, folder=tmp_path / "run") == 1
    said = capfd.readouterr().err
    assert "cannot be written ([Errno 28] No space left on device): make room" in said and "Traceback" not in said


def test_a_recorder_writes_over_nothing(bag, capfd):
    assert run(run_recorder, folder=bag) == 1
    assert "is there already: name another folder" in capfd.readouterr().err
