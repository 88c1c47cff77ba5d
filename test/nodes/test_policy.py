"""The SROS2 policy allows what the nodes of running graphs say, hear and answer. What it keeps out, only DDS knows."""

import fnmatch
import subprocess
import time
from pathlib import Path
from xml.etree import ElementTree

import pytest

rclpy = pytest.importorskip("rclpy", reason="ROS 2 is not here")

from lifecycle_msgs.msg import State  # noqa: E402
from lifecycle_msgs.srv import GetState  # noqa: E402
from rclpy.executors import SingleThreadedExecutor  # noqa: E402

from seld_overlap_ros.graphs import AUTOSTART, GRAPHS  # noqa: E402
from seld_overlap_ros.up import command, environment  # noqa: E402

pytestmark = pytest.mark.ros
LIMIT_S = 150.0
POLICY = Path(__file__).parents[2] / "config" / "policy.xml"
VERBS = ("publish", "subscribe", "reply", "request")


def allowed():
    """Node -> verb -> full names, which may hold wildcards."""
    found = {}
    for profile in ElementTree.parse(POLICY).iter("profile"):
        node = profile.get("node")
        for rules in profile:
            names = {rule.text.replace("~", f"/{node}") for rule in rules}
            names = {name if name.startswith("/") else f"/{name}" for name in names}
            for verb in VERBS:
                if rules.get(verb) == "ALLOW":
                    found.setdefault(node, {}).setdefault(verb, set()).update(names)
    return found


def used(observer, node):
    """Verb -> full names that a running node has."""
    ask = (observer.get_publisher_names_and_types_by_node, observer.get_subscriber_names_and_types_by_node,
           observer.get_service_names_and_types_by_node, observer.get_client_names_and_types_by_node)
    return {verb: {name for name, _ in each(node, "/")} for verb, each in zip(VERBS, ask, strict=True)}


def active(observer, executor, node):
    """Whether a node has come up by itself, as far as it answers."""
    client = observer.create_client(GetState, f"{node}/get_state")
    if not client.wait_for_service(5.0):
        return False
    answer = client.call_async(GetState.Request())
    executor.spin_until_future_complete(answer, 5.0)
    observer.destroy_client(client)
    return answer.done() and answer.result().current_state.id == State.PRIMARY_STATE_ACTIVE


@pytest.mark.parametrize("graph", ["demo", "stages", "cascade"])
def test_what_running_nodes_do_is_allowed(graph, model, cascade_model, tmp_path):
    given = {"model": str(cascade_model if graph == "cascade" else model), "folder": str(tmp_path / "recording"),
             "display": "true", "file": "demo", "listeners": "9"}
    processes = GRAPHS[graph].processes({name: v for name, v in given.items() if name in GRAPHS[graph].arguments()})
    log = tmp_path / "log"
    with log.open("w") as out:
        running = [subprocess.Popen(command(p), env=environment(), stdout=out, stderr=out) for p in processes]
    names = {process.node.name for process in processes}
    managed = [process.node.name for process in processes if AUTOSTART in process.node.parameters]
    context = rclpy.Context()
    rclpy.init(context=context)
    observer = rclpy.create_node("observer", context=context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(observer)
    try:
        deadline, seen, before, policy = time.monotonic() + LIMIT_S, {}, None, allowed()
        while not all(active(observer, executor, name) for name in managed):  # then they have all that they will have
            assert time.monotonic() < deadline, log.read_text()
        while len(seen) < len(names) or seen != before:  # what a node has is found bit by bit
            assert time.monotonic() < deadline, log.read_text()
            before = seen
            time.sleep(2.0)
            there = {name for name, space in observer.get_node_names_and_namespaces() if space == "/"}
            seen = {name: used(observer, name) for name in names & there}
        assert all(seen[name]["publish"] & {"/activity", "/events", "/spectra", "/spectra_0", "/spectra_1"}
                   for name in managed)
        assert any("/enable" in each["reply"] for each in seen.values())
        for name, did in seen.items():
            for verb, topics in did.items():
                rules = policy[name].get(verb, set())
                assert not {t for t in topics if not any(fnmatch.fnmatchcase(t, rule) for rule in rules)}, (name, verb)
    finally:
        executor.shutdown()
        for process in running:
            process.terminate()
        for process in running:
            process.wait(LIMIT_S)
        observer.destroy_node()
        rclpy.shutdown(context=context)
