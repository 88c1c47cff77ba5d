"""A small front end and an ear for notices."""

import pytest

from seld_overlap_ros.config import FrontEnd
from seld_overlap_ros.streaming.notices import Notices


@pytest.fixture()
def front_end() -> FrontEnd:
    return FrontEnd(n_frames=61)  # 0.992 s


@pytest.fixture()
def said() -> list[str]:
    return []


@pytest.fixture()
def notices(said) -> Notices:
    return Notices(said.append)
