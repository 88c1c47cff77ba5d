"""What all tests share.

Threads wait asleep: on a busy machine those of torch, which spin, take many times as long.
In a ROS workspace the packages for training may be missing, as a robot needs none: their tests are left out then.
"""

import os
from importlib.util import find_spec
from pathlib import Path

import pytest

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # read when torch is imported

NEEDS = {
    "torch": ["models", "nodes", "speed", "training", "evaluation/test_outcomes.py", "evaluation/test_table1.py",
              "evaluation/test_variants.py", "evaluation/test_model_card.py", "data/test_own_classes.py",
              "test_data_card.py", "test_hearing.py", "test_listening.py"],
    "lightning": ["training", "data/test_own_classes.py"],
    "pyroomacoustics": ["simulation", "speed", "test_hearing.py", "training", "data/test_own_classes.py",
                        "evaluation/test_classical.py"],
    "torchmetrics": ["training", "test_listening.py",
                     *(f"evaluation/test_{name}.py" for name in ("model_card", "outcomes", "scores", "table1",
                                                                 "variants"))],
    "rosbags": ["bags", "test_cli_bag.py", "nodes/test_bag_player.py", "nodes/test_evaluate_live.py",
                *(f"evaluation/test_{name}.py" for name in ("live", "replay", "replay_scores", "replay_page"))],
    "matplotlib": ["speed", "test_data_card.py", "evaluation/test_model_card.py", "evaluation/test_table1.py"],
}
missing = [module for module in NEEDS if find_spec(module) is None]
collect_ignore = sorted({path for module in missing for path in NEEDS[module]})


def pytest_report_header() -> str:
    """Say what is left out."""
    return f"left out without {', '.join(missing)}: {', '.join(collect_ignore)}" if missing else ""


@pytest.fixture
def without_torch(tmp_path, monkeypatch) -> Path:
    """Processes that a test starts have no torch: what imports it fails. Gives the folder that goes before others."""
    package = tmp_path / "no_torch" / "torch"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text('raise ImportError("there is no torch here")\n')
    monkeypatch.setenv("PYTHONPATH", f"{package.parent}:{os.environ.get('PYTHONPATH', '')}".rstrip(":"))
    return package.parent
