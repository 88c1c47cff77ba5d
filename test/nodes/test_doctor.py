"""The doctor and /diagnostics over DDS: nodes in processes of their own, and what is wrong with them said."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

rclpy = pytest.importorskip("rclpy", reason="ROS 2 is not here")

from audio_common_msgs.msg import AudioDataStamped, AudioInfo  # noqa: E402
from lifecycle_msgs.msg import Transition  # noqa: E402
from lifecycle_msgs.srv import ChangeState  # noqa: E402
from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from rclpy.qos import DurabilityPolicy, QoSProfile  # noqa: E402
from seld_overlap.msg import SoundEventArray  # noqa: E402
from std_msgs.msg import String  # noqa: E402

from seld_overlap_ros.doctor import diagnose  # noqa: E402
from seld_overlap_ros.graphs import GRAPHS  # noqa: E402
from seld_overlap_ros.nodes import convert  # noqa: E402
from seld_overlap_ros.nodes.doctor import look  # noqa: E402
from seld_overlap_ros.streaming.health import ERROR, OK, WARN  # noqa: E402
from seld_overlap_ros.streaming.pcm import encode  # noqa: E402
from seld_overlap_ros.up import command, environment  # noqa: E402

pytestmark = pytest.mark.ros
LIMIT_S = 90.0
RATE, CHUNK, SECOND = 16000, 1600, 1_000_000_000


class Source:
    """A microphone node that plays noise in real time, from a thread, in a context of its own."""

    def __init__(self):
        self.context = rclpy.Context()
        rclpy.init(context=self.context)
        self.node = rclpy.create_node("source", context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.shape = lambda samples: samples
        self.coding, self.channels = "wave", 8
        self._over, self._thread = threading.Event(), None

    def play(self):
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self._info = self.node.create_publisher(AudioInfo, "audio_info", latched)
        self._audio = self.node.create_publisher(AudioDataStamped, "audio_stamped", 100)
        self.describe()
        self._thread = threading.Thread(target=self._play)
        self._thread.start()

    def describe(self):
        self._info.publish(AudioInfo(channels=self.channels, sample_rate=RATE, sample_format="S16LE",
                                     coding_format=self.coding))

    def _play(self):
        rng, start, start_ns, n = np.random.default_rng(0), time.monotonic(), time.time_ns(), 0
        while not self._over.wait(max(0.0, start + n / RATE - time.monotonic())):
            samples = self.shape(rng.normal(0, 0.05, (CHUNK, 8)).astype(np.float32))
            message = AudioDataStamped(header=convert.to_header(start_ns + (n - CHUNK) * SECOND // RATE, "head"))
            message.audio.data.frombytes(encode(samples, "S16LE"))
            self._audio.publish(message)
            n += CHUNK

    def call(self, kind, service, request):
        client = self.node.create_client(kind, service)
        assert client.wait_for_service(LIMIT_S)
        answer = client.call_async(request)
        self.executor.spin_until_future_complete(answer, timeout_sec=LIMIT_S)
        return answer.result()

    def close(self):
        self._over.set()
        if self._thread:
            self._thread.join(LIMIT_S)
        self.executor.shutdown()
        self.node.destroy_node()
        rclpy.shutdown(context=self.context)


@pytest.fixture
def source():
    made = Source()
    yield made
    made.close()


@pytest.fixture
def start(tmp_path):
    """Starts the nodes of a graph, but for those in `without`."""
    running = []

    def started(graph, without=(), **given):
        for process in GRAPHS[graph].processes(given):
            if process.node.name not in without:
                with open(tmp_path / f"{process.node.name}.log", "w") as log:
                    running.append(subprocess.Popen(command(process), env=environment(), stdout=log, stderr=log))

    yield started
    deadline = time.monotonic() + LIMIT_S
    try:
        while not all(process.poll() is not None or heeds_sigterm(process) for process in running):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        for process in running:
            process.terminate()
        assert [process.wait(LIMIT_S) for process in running] == [0] * len(running)
    finally:
        for process in running:
            process.kill()


def heeds_sigterm(process):
    """Whether it has a handler by now; one that still imports its modules has none, and dies of it."""
    caught = re.search(r"SigCgt:\s*(\w+)", Path(f"/proc/{process.pid}/status").read_text())[1]
    return int(caught, 16) >> (signal.SIGTERM - 1) & 1


def doctor_says(sentence, well=False, seconds=2.5):
    """Look until that is the answer. Returns what was seen then."""
    deadline, said = time.monotonic() + LIMIT_S, []
    while time.monotonic() < deadline:
        seen = look(seconds)
        said.append(diagnose(seen))
        if sentence in said[-1].sentence:
            assert said[-1].well is well
            return seen
    pytest.fail(f"never said: {sentence}; but {said}")


def told_state(node, level, seconds=2.5):
    """Look until a node's own state is of a level, which it tells once a second, later than the graph may show it."""
    deadline, told = time.monotonic() + LIMIT_S, []
    while time.monotonic() < deadline:
        told.append(look(seconds).statuses.get(node, {}).get("state"))
        if told[-1] and told[-1].level == level:
            return told[-1]
    pytest.fail(f"{node} never told {level}; but {told}")


def test_nothing_is_there():
    """The command, with its exit code."""
    ended = subprocess.run([sys.executable, "-c", "from seld_overlap_ros.cli import app; app()", "doctor", "--seconds",
                            "1"], capture_output=True, text=True, timeout=LIMIT_S)
    assert ended.stdout.startswith("No ROS node at all is seen in ROS domain ")
    assert len(ended.stdout.splitlines()) == 1
    assert ended.returncode == 1
    assert not ended.stderr


def test_all_is_well_and_every_figure_is_there(start, source, model):
    start("full", model=str(model), hop="0.5")
    source.play()
    doctor_says("all is well: ", True, 4.0)
    deadline, told = time.monotonic() + LIMIT_S, {}
    fine = {"state": OK, "audio": OK, "channel order": OK, "windows": OK}  # but for moments of a busy machine
    while ({subject: status.level for subject, status in told.items()} != fine
           or told["audio"].values["rate measured [Hz]"] == "unknown"):
        assert time.monotonic() < deadline, told
        told = look(2.5).statuses.get("/full_node", {})
    assert told["state"].values.pop("engine").startswith("OpenVINO")
    assert told["state"].values == {"state": "active", "model loaded": str(model), "QoS mismatches": "none"}
    assert float(told["audio"].values["rate measured [Hz]"]) == pytest.approx(RATE, rel=0.03)
    assert told["audio"].values["topic"] == "/audio_stamped"
    assert float(told["windows"].values["time from window to window [s]"]) == pytest.approx(0.496, abs=1e-3)
    assert 0 < float(told["windows"].values["real-time factor"]) < 1
    latency = float(told["windows"].values["latency, median [s]"])
    assert 0 < latency <= float(told["windows"].values["latency, 95th percentile [s]"]) < 10
    source.shape = lambda samples: samples * np.array([1, 1, 0, 1, 1, 1, 1, 1], np.float32)
    assert doctor_says("/full_node: microphone 2 is dead").statuses["/full_node"]["audio"].level == ERROR
    source.shape = lambda samples: samples[:, [0, 1, 2, 3, 4, 5, 6, 1]]
    doctor_says("/full_node: microphones 1 and 7 give the very same samples")
    source.shape = lambda samples: samples
    source.coding = "mp3"
    source.describe()
    doctor_says("/full_node: audio refused: audio coded as 'mp3' is not understood: start audio_capture with format")
    source.coding, source.channels = "wave", 2
    source.describe()
    doctor_says("the audio has 2 channels and the model needs 8")


def test_a_node_that_was_not_brought_up_is_said(start, source, model):
    start("full", model=str(model), autostart="false")
    doctor_says("/full_node is unconfigured: bring it up with `ros2 service call /enable")
    transition = Transition(id=Transition.TRANSITION_CONFIGURE)
    assert source.call(ChangeState, "full_node/change_state", ChangeState.Request(transition=transition)).success
    doctor_says("/full_node is inactive: bring it up")


def test_a_model_that_is_not_loaded_is_said(start, source):
    start("full", model="nowhere.safetensors", autostart="false")
    transition = Transition(id=Transition.TRANSITION_CONFIGURE)
    doctor_says("/full_node is unconfigured")
    assert not source.call(ChangeState, "full_node/change_state", ChangeState.Request(transition=transition)).success
    doctor_says("/full_node is unconfigured, as it could not be started:")


def test_where_the_audio_is_not_is_said(start, source, model):
    start("full", model=str(model))
    doctor_says("nobody publishes audio: start its source")
    wrong = source.node.create_publisher(String, "audio_stamped", 1)
    doctor_says("/source publishes std_msgs/msg/String on /audio_stamped, which cannot be read as audio")
    source.node.destroy_publisher(wrong)
    elsewhere = source.node.create_publisher(AudioDataStamped, "head/audio_stamped", 1)
    doctor_says("the audio is on /head/audio_stamped")
    source.node.destroy_publisher(elsewhere)
    source.node.create_publisher(AudioDataStamped, "audio_stamped", 1)
    doctor_says("/source is there to publish the audio on /audio_stamped, and sends none")


def test_a_subscriber_whose_qos_does_not_match_is_said_by_doctor_and_node(start, source, model):
    start("full", model=str(model))
    wants_latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    ill = source.node.create_subscription(SoundEventArray, "events", print, wants_latched)
    doctor_says("/full_node and /source do not come together on /events, as their QoS does not match")
    state = told_state("/full_node", WARN)
    assert "DURABILITY" in state.sentence
    assert state.values["QoS mismatches"] == "events"
    source.node.destroy_subscription(ill)
    told_state("/full_node", OK)  # it is forgotten


def test_a_stage_that_is_missing_is_said(start, model):
    start("stages", without=["gate_node"], model=str(model))
    doctor_says("/ssc_node waits for /spectra, which nobody publishes: start gate_node")


def test_overload_is_said_with_a_hop_that_would_do(start, source):
    """The hop is far less than what torch takes for a window with eight sounds on any machine of today."""
    start("full", hop="0.05", direction_threshold="0.0", engine="torch")
    source.play()
    windows = doctor_says("as they come faster than they are worked on: set a longer hop of").statuses[
        "/full_node"]["windows"]
    assert int(windows.values["windows dropped"]) > 0
    assert float(windows.values["real-time factor"]) > 1
    assert float(windows.values["time from window to window [s]"]) == pytest.approx(0.048, abs=1e-3)


def test_nodes_on_this_host_alone_are_seen_by_those_who_look_further(start, model, monkeypatch):
    """`up` keeps discovery on the host, and the doctor, or any other node, is run with ROS's defaults."""
    assert os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] == "LOCALHOST"
    start("full", model=str(model))
    monkeypatch.delenv("ROS_AUTOMATIC_DISCOVERY_RANGE")
    doctor_says("nobody publishes audio")
