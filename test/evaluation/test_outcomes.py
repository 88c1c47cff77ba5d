"""Outcomes: they are what Hearing says, and a run that was cut off does not begin anew."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_mixtures import CONFIG, LABELS, make_store
from torchmetrics.functional.audio import scale_invariant_signal_distortion_ratio as si_sdr

from seld_overlap_ros.config import MicrophoneArray
from seld_overlap_ros.dsp.features import log_magnitude
from seld_overlap_ros.dsp.stft import stft
from seld_overlap_ros.evaluation import outcomes as module
from seld_overlap_ros.evaluation.outcomes import Outcomes, evaluate, evaluate_saved, sounding_s
from seld_overlap_ros.hearing import Hearing
from seld_overlap_ros.models.system import System
from seld_overlap_ros.models.torch_engine import TorchEngine

SOURCES = [{0: "a"}, {1: "b", 3: "c"}, {}, {2: "a", 4: "b", 7: "c"}, {5: "c"}]


@pytest.fixture(scope="module")
def store():
    return make_store(SOURCES[:2] + SOURCES[3:])


def make_engine(kind: str) -> TorchEngine:
    """Untrained, so that it hears some directions by chance; the batch norms pass on what comes, of any size."""
    torch.manual_seed(3)
    system = System(replace(CONFIG, system=kind))
    system.ssl.layers[-1].bias.data = torch.linspace(-0.3, 0.5, 8)
    return TorchEngine(system)


def same(a: Outcomes, b: Outcomes) -> bool:
    return all(np.allclose(value, vars(b)[name], atol=1e-3, equal_nan=True) if value.dtype.kind == "f"
               else (value == vars(b)[name]).all() for name, value in vars(a).items())


@pytest.mark.parametrize("kind", ["cascade", "overlap"])
def test_what_is_said_is_what_hearing_says(store, kind):
    engine = make_engine(kind)
    found = evaluate(engine, store)
    hearing = Hearing(engine, always_strongest=True)
    for index in range(len(store)):
        heard = hearing(store[index].mixture)
        said = {source.direction: int(source.class_scores.argmax()) for source in heard}
        assert {d: int(found.said[index, d]) for d in np.flatnonzero(found.asked[index])} == said
        for k in np.flatnonzero(found.mixture == index):
            answer = [source.samples for source in heard if source.direction == found.direction[k]]
            assert bool(answer) == bool(found.found[k])
            if answer:
                stem = torch.from_numpy(store[index].stems[k - np.flatnonzero(found.mixture == index)[0]])
                before = si_sdr(torch.from_numpy(store[index].mixture[0].copy()), stem)
                gain = float(si_sdr(torch.from_numpy(answer[0]), stem) - before)
                assert found.si_sdri[k] == pytest.approx(gain, abs=1e-2)
    assert found.asked.sum() > len(store)  # or the test would show little


def test_truth_is_that_of_the_store(store):
    found = evaluate(make_engine("cascade"), store)
    assert found.mixture.tolist() == [0, 1, 1, 2, 2, 2, 3]
    assert found.n_sources.tolist() == [1, 2, 2, 3, 3, 3, 1]
    assert [LABELS[label] for label in found.label] == ["a", "b", "c", "a", "b", "c", "c"]
    assert found.room.tolist() == ["room 0", "room 1", "room 0", "room 1"]
    assert np.argwhere(found.true).tolist() == [[0, 0], [1, 1], [1, 3], [2, 2], [2, 4], [2, 7], [3, 5]]


def test_the_oracle_is_asked_for_the_true_direction_with_certainty(store):
    engine = make_engine("overlap")
    asked = []
    separate = engine.separate
    engine.separate = lambda x, gain: asked.append(gain) or separate(x, gain)
    found = evaluate(engine, store)
    certain = {int(row.argmax()) for gain in asked for row in gain if row.max() == 1}
    assert certain == {0, 1, 2, 3, 4, 5, 7}
    assert ((found.said_given_direction >= 0) & (found.said_given_direction < 3)).all()


def test_the_ceiling_is_the_class_of_the_clean_source(store):
    engine = make_engine("cascade")
    expected = engine.classify(log_magnitude(stft(store[1].stems, CONFIG.front_end))).argmax(axis=1)
    assert evaluate(engine, store).said_clean[1:3].tolist() == expected.tolist()


def test_silence_is_asked_for_nothing():
    store = make_store(SOURCES)
    found = evaluate(make_engine("cascade"), store)
    assert not found.asked[2].any()
    assert found.asked[[0, 1, 3, 4]].any(axis=1).all()
    assert np.isnan(found.capi_sdri[2])


def test_a_signal_sounds_from_its_first_loud_frame_to_the_end_of_its_last():
    log_mag = np.zeros((256, 256), np.float32)
    log_mag[:, 62:125] = 0.8
    start_s, end_s = sounding_s(log_mag, CONFIG.front_end)
    assert (start_s, end_s) == (62 * 0.016, 126 * 0.016)
    assert sounding_s(np.zeros_like(log_mag), CONFIG.front_end) == (0, 0)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (replace(CONFIG, labels=("a", "x")), "does not know b, c: score it on mixtures of its classes"),
        (replace(CONFIG, array=MicrophoneArray.circular(8, 0.05)), "another array"),
        (replace(CONFIG, azimuths=CONFIG.azimuths[:4]), "another array or other directions"),
    ],
)
def test_mixtures_that_do_not_fit_the_model_are_refused(store, config, said):
    with pytest.raises(ValueError, match=said):
        evaluate(TorchEngine(System(config)), store)


class Counting:
    """Counts how many mixtures an engine is asked to hear."""

    def __init__(self):
        self.n, self.engine = 0, make_engine("cascade")
        self._localize, self.engine.localize = self.engine.localize, self

    def __call__(self, x):
        self.n += 1
        return self._localize(x)


def test_what_was_evaluated_is_not_evaluated_again(store, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "PART", 2)
    heard = Counting()
    first = evaluate_saved(heard.engine, "sha", store, tmp_path)
    again = evaluate_saved(heard.engine, "sha", store, tmp_path)
    assert heard.n == 4
    assert same(first, again) and same(first, evaluate(make_engine("cascade"), store))
    evaluate_saved(heard.engine, "another sha", store, tmp_path)
    assert heard.n == 8


def test_a_run_that_was_cut_off_goes_on_with_the_part_that_is_missing(store, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "PART", 2)

    def power_cut(parts):
        yield next(iter(parts))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate_saved(make_engine("cascade"), "sha", store, tmp_path, track=power_cut)
    [kept] = tmp_path.glob("*.npz")
    written = kept.stat().st_mtime_ns
    whole = evaluate_saved(make_engine("cascade"), "sha", store, tmp_path)
    assert same(whole, evaluate(make_engine("cascade"), store))
    assert kept.stat().st_mtime_ns == written and len(list(tmp_path.glob("*.npz"))) == 2


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04", None])
def test_saved_outcomes_that_are_damaged_are_made_again(store, tmp_path, damage):
    first = evaluate_saved(make_engine("cascade"), "sha", store, tmp_path)
    [kept] = tmp_path.glob("*.npz")
    kept.write_bytes(kept.read_bytes()[:2000] if damage is None else damage)
    heard = Counting()
    assert same(evaluate_saved(heard.engine, "sha", store, tmp_path), first) and heard.n == 4


def test_other_mixtures_are_not_taken_for_the_same(store, tmp_path):
    evaluate_saved(make_engine("cascade"), "sha", store, tmp_path)
    louder = replace(store, mixtures=store.mixtures // 2)
    other_truth = replace(store, truth=[{**truth, "room": "other"} for truth in store.truth])
    for other in (louder, other_truth):
        heard = Counting()
        evaluate_saved(heard.engine, "sha", other, tmp_path)
        assert heard.n == 4
