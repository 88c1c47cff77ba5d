"""How long a message takes from publish() to the callback in another process, with and without fastdds.xml.

python tools/transit.py [COUNT]: a table of median and 95th percentile [ms] of COUNT messages (60), for docs/graph.md.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.qos import QoSProfile
from seld_overlap.msg import AudioWindow
from std_msgs.msg import Header

from seld_overlap_ros.nodes.convert import to_floats
from seld_overlap_ros.up import fast_dds

SHAPES = ((1, 256, 256), (8, 65792), (15, 256, 256))
WAIT_S = 20.0


def answer() -> None:
    """The other process: when each window came, as seconds in the frame of a header."""
    node = rclpy.create_node("answer")
    back = node.create_publisher(Header, "back", 10)

    def on_window(message: AudioWindow) -> None:
        back.publish(Header(stamp=message.header.stamp, frame_id=repr(time.time())))

    node.create_subscription(AudioWindow, "window", on_window, QoSProfile(depth=4))
    rclpy.spin(node)


def measure(n_floats: int, count: int) -> np.ndarray:
    """Transit of each of `count` messages [s]."""
    node, came = rclpy.create_node("ask"), []
    window = node.create_publisher(AudioWindow, "window", QoSProfile(depth=4))
    node.create_subscription(Header, "back", lambda message: came.append(float(message.frame_id)), 10)
    samples, taken = to_floats(np.random.default_rng(0).random(n_floats)), []
    spin_until(node, lambda: window.get_subscription_count() and node.count_publishers("back"))
    spin_until(node, lambda: False, 1.0)
    for k in range(count):
        sent = time.time()
        window.publish(AudioWindow(samples=samples))
        spin_until(node, lambda k=k: len(came) > k)
        taken.append(came[k] - sent)
        spin_until(node, lambda: False, 0.1)
    return np.array(taken)


def spin_until(node: rclpy.node.Node, met, limit_s: float = WAIT_S) -> None:
    """Until something holds or the time is over."""
    deadline = time.monotonic() + limit_s
    while not met() and time.monotonic() < deadline:
        rclpy.spin_once(node, timeout_sec=0.01)


def run_pair(shape: tuple[int, ...], count: int, environment: dict[str, str]) -> str:
    """Both processes -> one cell of the table."""
    here = [sys.executable, str(Path(__file__).resolve())]
    with subprocess.Popen([*here, "--answer"], env=environment) as other:
        words = [*here, "--ask", str(int(np.prod(shape))), str(count)]
        try:
            return subprocess.run(words, env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
        finally:
            other.terminate()


def main(words: list[str]) -> None:
    """One of the two processes, or the table."""
    if words[:1] in (["--answer"], ["--ask"]):
        rclpy.init()
        try:
            if words[0] == "--answer":
                answer()
            else:
                median, late = np.percentile(1e3 * measure(int(words[1]), int(words[2])), [50, 95])
                print(f"{median:.1f} / {late:.1f} ms")
        except (KeyboardInterrupt, ExternalShutdownException):
            pass
        return
    count = int(words[0]) if words else 60
    plain = {name: value for name, value in os.environ.items() if name not in fast_dds({})}
    for shape in SHAPES:
        cells = [run_pair(shape, count, plain | more) for more in ({}, fast_dds(plain))]
        size = f"{' x '.join(map(str, shape))} float32, {4 * np.prod(shape) / 1e6:.1f} MB"
        print(f"| {size} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
