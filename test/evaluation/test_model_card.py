"""The page about the shipped models says what the files hold, and knows the figures of those files and no others."""

import json

from seld_overlap_ros.evaluation.model_card import write_card
from seld_overlap_ros.models.checkpoint import find_model, read_checkpoint, sha256, shipped_models

FIGURES = {"n_per_1000": 612, "accuracy_test": 0.5, "ceiling": 0.7, "direction_f1": 0.9, "si_sdri": 8.0,
           "recall": {"dog": 0.9, "cat": 0.1}, "confusions": [{"true": "cat", "said": "dog", "n": 7}]}


def page(folder, key=None):
    if key:
        results = {"seeds": [{"systems": {"overlap": {**FIGURES, "sha256": key}}}]}
        (folder / "results.json").write_text(json.dumps(results))
    write_card(folder)
    return (folder / "models.md").read_text()


def test_every_shipped_model_is_there_with_what_its_file_says(tmp_path):
    text = page(tmp_path)
    for name in shipped_models():
        assert f"| `{name}` |" in text
        assert sha256(find_model(name))[:16] in text
        assert f"{read_checkpoint(name).n_parameters / 1e6:.2f} M" in text
    assert "Not known" in text


def test_a_stage_that_learnt_from_fresh_mixtures_says_so(tmp_path):
    text = page(tmp_path)
    assert "`ssl_sss` 1, `sss_ssc` 5 fresh, `overlap` 3 fresh |" in text  # of plus
    assert "`ssl_sss` 2, `sss_ssc` 7, `overlap` 4 |" in text


def test_figures_are_those_of_the_very_file(tmp_path):
    name = shipped_models()[0]
    assert f"| `{name}` | 612 | 50.0 % | 70.0 % | 90.0 % | 8.0 dB | cat, dog | cat as dog (7) |" in page(
        tmp_path, sha256(find_model(name)))
    assert "612" not in page(tmp_path, "0f")
