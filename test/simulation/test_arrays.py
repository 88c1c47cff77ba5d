"""Arrays: the shipped ones are what they say, and a bad file is refused in one sentence."""

from importlib import resources
from pathlib import Path

import numpy as np
import pytest
import yaml

from seld_overlap_ros.config import MicrophoneArray, uniform_azimuths
from seld_overlap_ros.simulation.arrays import load_array

SHIPPED = Path(str(resources.files("seld_overlap_ros") / "arrays"))


def test_the_default_is_the_papers_array():
    array, azimuths = load_array(SHIPPED / "circle_8.yaml")
    np.testing.assert_allclose(array.positions, MicrophoneArray.circular().positions, atol=1e-5)
    assert azimuths == uniform_azimuths(8)


@pytest.mark.parametrize(("name", "n", "radius"), [("respeaker_4", 4, 0.032), ("respeaker_6", 6, 0.0463)])
def test_others_are_circles_of_their_radius(name, n, radius):
    array, _ = load_array(SHIPPED / f"{name}.yaml")
    assert array.n_microphones == n
    np.testing.assert_allclose(np.linalg.norm(array.positions, axis=1), radius, atol=1e-4)


@pytest.mark.parametrize(
    "text",
    ["- a", "positions: [[0, 0, 0], [1, 0, 0]]", "positions: [[a]]\ndirections: 8", "positions: [", "directions: 8",
     "positions: [[0, 0, 0], [1, 0, 0]]\ndirections: .inf",
     "positions: [[0, 0, 0], [0.1, 0, 0], [0, 0.1, 0]]\ndirections: 8.7",
     f"positions: [[1{400 * '0'}, 0, 0]]\ndirections: 8", "positions: " + 3000 * "["],
    ids=lambda text: text[:60],
)
def test_a_bad_file_is_refused_in_one_sentence(tmp_path, text):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match="mine.yaml"):
        load_array(path)


@pytest.mark.parametrize(("positions", "said"), [
    ([[32, 0, 0], [0, 32, 0], [-32, 0, 0]], "are the positions in metres"),
    ([[0.05 * m, 0.02 * m, 0] for m in range(-3, 4)], "lie in a line, and to them one side sounds like the other"),
    ([[0, 0, 0], [0.05, 0, 0]], "lie in a line"),
    ([[0, 0, 0.1 * m] for m in range(4)], "lie in a line"),
])
def test_an_array_that_cannot_tell_directions_is_refused(tmp_path, positions, said):
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump({"positions": positions, "directions": 8}))
    with pytest.raises(ValueError, match=f"mine.yaml: .*{said}"):
        load_array(tmp_path / "mine.yaml")


def test_fewer_directions_than_a_mixture_needs_are_refused(tmp_path):
    triangle = {"positions": [[0, 0, 0], [0.1, 0, 0], [0, 0.1, 0]]}
    for n in (3, 4):
        (tmp_path / f"of_{n}.yaml").write_text(yaml.safe_dump(triangle | {"directions": n}))
    assert len(load_array(tmp_path / "of_4.yaml")[1]) == 4
    with pytest.raises(ValueError, match="of_3.yaml: at least 4 directions are needed, got 3"):
        load_array(tmp_path / "of_3.yaml")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ValueError, match="no array nowhere.yaml"):
        load_array(tmp_path / "nowhere.yaml")
