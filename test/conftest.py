"""What all tests share.

Threads wait asleep: on a busy machine those of torch, which spin, take many times as long.
In a ROS workspace the packages for training may be missing, as a robot needs none: their tests are left out then.
"""

import os
from importlib.util import find_spec

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # read when torch is imported

NEEDS = {
    "lightning": ["training", "data/test_own_classes.py"],
    "pyroomacoustics": ["simulation", "test_hearing.py", "training", "data/test_own_classes.py"],
    "torchmetrics": ["training", *(f"evaluation/test_{name}.py" for name in ("capi", "outcomes", "scores", "table1"))],
    "rosbags": ["bags", "evaluation/test_replay.py", "test_cli_bag.py"],
    "matplotlib": ["test_data_card.py", "evaluation/test_table1.py"],
}
missing = [module for module in NEEDS if find_spec(module) is None]
collect_ignore = sorted({path for module in missing for path in NEEDS[module]})


def pytest_report_header() -> str:
    """Say what is left out."""
    return f"left out without {', '.join(missing)}: {', '.join(collect_ignore)}" if missing else ""
