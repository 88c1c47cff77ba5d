"""The page about the shipped models says what the files hold, and knows the figures of those files and no others."""

import json

from seld_overlap_ros.evaluation.model_card import write_card
from seld_overlap_ros.models.checkpoint import find_model, read_checkpoint, sha256, shipped_models

FIGURES = {"n_per_1000": 612, "accuracy_test": 0.5, "ceiling": 0.7, "direction_f1": 0.9, "si_sdri": 8.0,
           "recall": {"dog": 0.9, "cat": 0.1}, "confusions": [{"true": "cat", "said": "dog", "n": 7}]}


def knowing(folder, *names):
    """The folder, with a results.json that knows the files of these shipped models."""
    systems = {name: {**FIGURES, "sha256": sha256(find_model(name))} for name in names}
    (folder / "results.json").write_text(json.dumps({"seeds": [{"systems": systems}]}))
    return folder


def page(folder):
    return write_card(folder).read_text()


def test_every_shipped_model_is_there_with_what_its_file_says(tmp_path):
    text = page(knowing(tmp_path, "plus"))
    for name in shipped_models():
        assert f"| `{name}` |" in text
        assert sha256(find_model(name))[:16] in text
        assert f"{read_checkpoint(name).n_parameters / 1e6:.2f} M" in text


def test_a_stage_that_learnt_from_fresh_mixtures_says_so(tmp_path):
    text = page(knowing(tmp_path, "plus"))
    assert "`ssl_sss` 1, `sss_ssc` 10 fresh, `overlap` 3 fresh |" in text  # of plus
    assert "`ssl_sss` 2, `sss_ssc` 7, `overlap` 4 |" in text


def test_figures_are_those_of_the_very_file(tmp_path):
    name, *others = shipped_models()
    figures = "50.0 % | 70.0 % | 90.0 % | 8.0 dB | cat, dog | cat as dog (7) |"
    text = page(knowing(tmp_path, name))
    assert f"| `{name}` | 612 | {figures}" in text
    assert text.count(figures) == 1
    assert page(knowing(tmp_path, *others)).count(figures) == len(others)


def test_results_of_other_models_alone_write_no_page(tmp_path):
    """Even where one of them is a shipped file under the name that its training gave it."""
    entry = {**FIGURES, "sha256": sha256(find_model("plus"))}
    (tmp_path / "results.json").write_text(json.dumps({"seeds": [{"systems": {"overlap": entry}}]}))
    assert write_card(tmp_path) is None
    assert not (tmp_path / "models.md").exists()
