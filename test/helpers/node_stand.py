"""One node in this process, and what plays and listens to it over DDS."""

import threading
import time

import rclpy
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from std_srvs.srv import SetBool

from seld_overlap_ros.nodes import full_node, gate_node, ssc_node, ssl_node, sss_node

LIMIT_S = 60.0
NODES = {"full_node": full_node.FullNode, "ssl_node": ssl_node.SslNode, "sss_node": sss_node.SssNode,
         "gate_node": gate_node.GateNode, "ssc_node": ssc_node.SscNode}


class Stand:
    """One node in a thread of its own, and a node beside it that calls and publishes."""

    def __init__(self, name, capfd, **parameters):
        words = (word for key, value in parameters.items() for word in ("-p", f"{key}:={value}"))
        rclpy.init(args=["--ros-args", *words])
        self.name, self._capfd, self.log = name, capfd, ""
        self.managed = NODES[name]()
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.managed)
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()
        self.node = rclpy.create_node("stand")
        self._own = SingleThreadedExecutor()
        self._own.add_node(self.node)

    def _spin(self):
        try:
            self._executor.spin()
        except ExternalShutdownException:
            return

    def wait(self, met):
        deadline = time.monotonic() + LIMIT_S
        while not met():
            assert time.monotonic() < deadline, f"waited in vain; the log says: {self.log}"
            self._own.spin_once(timeout_sec=0.02)
            self.log += self._capfd.readouterr().err
        return True

    def call(self, kind, service, request):
        client = self.node.create_client(kind, service)
        self.wait(client.service_is_ready)
        answer = client.call_async(request)
        self.wait(answer.done)
        return answer.result()

    def change(self, transition):
        request = ChangeState.Request(transition=Transition(id=transition))
        return self.call(ChangeState, f"{self.name}/change_state", request).success

    def state(self):
        return self.call(GetState, f"{self.name}/get_state", GetState.Request()).current_state.label

    def enable(self, wanted):
        return self.call(SetBool, "enable", SetBool.Request(data=wanted))

    def topics(self):
        """What the node listens to, the topics of every node left out."""
        return {subscription.topic_name for subscription in self.managed.subscriptions} - {"/parameter_events"}

    def end(self):
        """What becomes of the node when its process ends."""
        self._executor.shutdown()
        self._thread.join(LIMIT_S)
        self.managed.close()

    def close(self):
        self.end()
        self.managed.destroy_node()
        self.node.destroy_node()
        self._own.shutdown()
        rclpy.shutdown()
