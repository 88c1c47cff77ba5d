"""Which classes can occur: the scores of the others go to them, and what is no class is named with the way out."""

import numpy as np
import pytest

from seld_overlap_ros.config import SystemConfig
from seld_overlap_ros.models.possible import Possible, read_classes

LABELS = ("dog_bark", "door", "organ", "piano")


class Sure:
    """An engine that says the same of every source."""

    config, title, batches = SystemConfig(LABELS), "sure", (1,)
    scores = np.array([[0.1, 0.2, 0.7, 0.0]], np.float32)
    localize = separate = None

    def classify(self, log_mag: np.ndarray) -> np.ndarray:
        return np.repeat(self.scores, len(log_mag), axis=0)


@pytest.mark.parametrize(("text", "expected"), [
    ("", [0.1, 0.2, 0.7, 0]),
    ("dog_bark, door", [1 / 3, 2 / 3, 0, 0]),
    ("organ", [0, 0, 1, 0]),
    ("piano", [0, 0, 0, 1]),  # even if its score was 0 to the last bit
    ("piano,dog_bark,", [1, 0, 0, 0]),
])
def test_scores_of_what_cannot_occur_go_to_what_can(text, expected):
    scores = Possible(Sure(), text).classify(np.zeros((2, 256, 256), np.float32))
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, [expected] * 2, atol=1e-6)


def test_a_log_names_a_few_and_counts_many():
    assert Possible(Sure(), "organ,door").classes_in_words == "organ, door"
    many = Sure()
    many.config = SystemConfig(tuple(f"class {n}" for n in range(75)))
    assert Possible(many).classes_in_words == "75 classes"


def test_of_no_source_it_says_nothing():
    assert Possible(Sure(), "door").classify(np.zeros((0, 256, 256), np.float32)).shape == (0, 4)


def test_names_come_in_the_order_given_and_without_any_all():
    assert read_classes(" piano ,door", LABELS) == ("piano", "door")
    assert read_classes(" , ", LABELS) == LABELS


@pytest.mark.parametrize(("text", "sentence"), [
    ("door,dog_brak", "classes: 'dog_brak' is no class of the model; did you mean dog_bark?"),
    ("Door", "did you mean door"),
    ("zzz", "it knows dog_bark, door, organ, piano"),
    ("door piano", "'door piano' is no class"),
])
def test_what_is_no_class_is_named_with_the_way_out(text, sentence):
    with pytest.raises(ValueError, match=sentence.replace("?", r"\?")):
        Possible(Sure(), text)
