"""The display over DDS: markers come with a sound and go with it, and the shipped views look at the right topics."""

import json
import math
import subprocess
import time
from pathlib import Path

import pytest
import yaml

rclpy = pytest.importorskip("rclpy", reason="ROS 2 is not here")

from builtin_interfaces.msg import Duration  # noqa: E402
from geometry_msgs.msg import PoseArray  # noqa: E402
from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from seld_overlap.msg import ClassHypothesis, SoundEvent, SoundEventArray  # noqa: E402
from visualization_msgs.msg import Marker, MarkerArray  # noqa: E402

from seld_overlap_ros.graphs import DISPLAY_NODE, FRAME_ID, GRAPHS  # noqa: E402
from seld_overlap_ros.nodes.convert import to_header  # noqa: E402
from seld_overlap_ros.nodes.convert_display import ARROWS, TEXTS  # noqa: E402
from seld_overlap_ros.up import command  # noqa: E402

pytestmark = pytest.mark.ros
LIMIT_S = 60.0  # for anything that is waited for; a busy machine takes long to start a process
CONFIG = Path(__file__).parents[2] / "config"


class Desk:
    """The display as `display:=true` starts it, in a process of its own, and the other ends of its topics."""

    def __init__(self):
        [process] = [p for p in GRAPHS["full"].processes({"display": "true"}) if p.node == DISPLAY_NODE]
        self.process = subprocess.Popen(
            command(process), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
        )
        rclpy.init()
        self.node = rclpy.create_node("desk")
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.node)
        self.events = self.node.create_publisher(SoundEventArray, "events", 50)
        self.markers, self.poses = [], []
        self.node.create_subscription(MarkerArray, "sound_markers", self.markers.append, 50)
        self.node.create_subscription(PoseArray, "sound_poses", self.poses.append, 50)
        self.meet()

    def meet(self):
        """Until the display's answers come too: that its topics are seen here does not say that it sees who listens."""
        for number in range(100, 100 + int(LIMIT_S)):
            self.publish(number, sound(number))
            if self.answered(number, within_s=1):
                break
        self.show()

    def answered(self, number, within_s):
        """Whether the markers and poses that came last become those of the window and the sound of this number."""
        until = time.monotonic() + within_s

        def come():
            added = [m.id for m in self.markers[-1].markers if m.action == Marker.ADD] if self.markers else []
            return added == [number] * 2 and self.poses and self.poses[-1].header.stamp.sec == number + 4

        self.wait(lambda: come() or time.monotonic() > until)
        return come()

    def wait(self, met):
        deadline = time.monotonic() + LIMIT_S
        while not met():
            assert self.process.poll() is None and time.monotonic() < deadline, "waited in vain"
            self._executor.spin_once(timeout_sec=0.02)

    def publish(self, start_s, *events):
        """A window of four seconds."""
        header = to_header(start_s * 10**9, "head")
        self.events.publish(SoundEventArray(header=header, window=Duration(sec=4), events=list(events)))

    def show(self, *events):
        """Publish a window with events. Returns the markers and poses that come of it."""
        n_markers, n_poses = len(self.markers), len(self.poses)
        self.publish(5, *events)
        self.wait(lambda: len(self.markers) > n_markers and len(self.poses) > n_poses)
        return self.markers[-1].markers, self.poses[-1]

    def close(self):
        self.process.terminate()
        said = self.process.communicate(timeout=LIMIT_S)[0]
        self._executor.shutdown()
        self.node.destroy_node()
        rclpy.shutdown()
        return said


def sound(number, **fields):
    hypotheses = [ClassHypothesis(label="dog_bark", score=0.75)]
    return SoundEvent(id=number, azimuth=math.pi / 2, hypotheses=hypotheses, **fields)


def test_markers_and_poses_come_with_a_sound_and_go_when_it_ends():
    desk = Desk()
    try:
        markers, poses = desk.show(sound(1), sound(2), SoundEvent(id=3))
        assert {(m.id, m.ns, m.action) for m in markers} == {
            (n, ns, Marker.ADD) for n in (1, 2) for ns in (ARROWS, TEXTS)}
        assert markers[0].header == poses.header == to_header(9_000_000_000, "head")
        assert len(poses.poses) == 2
        markers, poses = desk.show(sound(1, ended=True), sound(2))
        assert {(m.id, m.action) for m in markers} == {(1, Marker.DELETE), (2, Marker.ADD)}
        assert len(poses.poses) == 1
        markers, poses = desk.show()
        assert {(m.id, m.action) for m in markers} == {(2, Marker.DELETE)}
        assert desk.show() == ([], poses) and not poses.poses
    finally:
        said = desk.close()
    assert "an event is left out: sound 3 names no class" in said
    assert desk.process.returncode == 0 and "Traceback" not in said


def test_the_shipped_views_look_at_what_is_published():
    rviz = yaml.safe_load((CONFIG / "seld_overlap.rviz").read_text())["Visualization Manager"]
    assert rviz["Global Options"]["Fixed Frame"] == FRAME_ID.default
    shown = {display["Class"].split("/")[1]: display for display in rviz["Displays"]}
    assert shown["MarkerArray"]["Topic"]["Value"] == "/sound_markers"
    assert set(shown["MarkerArray"]["Namespaces"]) == {ARROWS, TEXTS}
    assert shown["PoseArray"]["Topic"]["Value"] == "/sound_poses"
    foxglove = json.loads((CONFIG / "foxglove.json").read_text())
    view = foxglove["configById"]["3D!sounds"]
    assert set(view["topics"]) == {"/sound_markers", "/sound_poses"}
    assert view["followTf"] == FRAME_ID.default
    panels, tree = set(), [foxglove["layout"]]
    while tree:
        part = tree.pop()
        if isinstance(part, str):
            panels.add(part)
        else:
            tree += [part["first"], part["second"]]
    assert panels == set(foxglove["configById"])
