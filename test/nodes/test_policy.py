"""The SROS2 policy allows what the nodes of running graphs say, hear and answer. What it keeps out, only DDS knows."""

import fnmatch
import subprocess
import time
from pathlib import Path
from xml.etree import ElementTree

import pytest

rclpy = pytest.importorskip("rclpy", reason="ROS 2 is not here")

from seld_overlap_ros.graphs import GRAPHS  # noqa: E402
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


@pytest.mark.parametrize("graph", ["demo", "stages", "cascade"])
def test_what_running_nodes_do_is_allowed(graph, model, cascade_model, tmp_path):
    given = {"model": str(cascade_model if graph == "cascade" else model), "folder": str(tmp_path / "recording"),
             "display": "true", "file": "demo", "listeners": "9"}
    processes = GRAPHS[graph].processes({name: v for name, v in given.items() if name in GRAPHS[graph].arguments()})
    log = tmp_path / "log"
    with log.open("w") as out:
        running = [subprocess.Popen(command(p), env=environment(), stdout=out, stderr=out) for p in processes]
    names = {process.node.name for process in processes}
    context = rclpy.Context()
    rclpy.init(context=context)
    observer = rclpy.create_node("observer", context=context)
    try:
        deadline, seen, policy = time.monotonic() + LIMIT_S, {}, allowed()
        while len(seen) < len(names) or not all(each["publish"] and each["reply"] for each in seen.values()):
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(2.0)  # what a node has is found bit by bit
            there = {name for name, space in observer.get_node_names_and_namespaces() if space == "/"}
            seen = {name: used(observer, name) for name in names & there}
        for name, did in seen.items():
            for verb, topics in did.items():
                rules = policy[name].get(verb, set())
                assert not {t for t in topics if not any(fnmatch.fnmatchcase(t, rule) for rule in rules)}, (name, verb)
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait(LIMIT_S)
        observer.destroy_node()
        rclpy.shutdown(context=context)
