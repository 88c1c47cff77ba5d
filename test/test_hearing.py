"""Hearing: the query rule, silence, and a known scene in, known sounds out, with the weights that are shipped."""

from itertools import product
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from seld_overlap_ros.config import SYSTEMS, MicrophoneArray, SystemConfig, uniform_azimuths
from seld_overlap_ros.demo import CLASSES
from seld_overlap_ros.dsp.features import analyse
from seld_overlap_ros.hearing import (
    Hearing,
    Spectra,
    classify,
    first_weights,
    join,
    kept_threshold,
    localize,
    query_set,
    separate,
    silence,
)
from seld_overlap_ros.models.engine import DEFAULT_MODEL, ENGINES, Engine, load_engine
from seld_overlap_ros.models.possible import Possible
from seld_overlap_ros.models.system import System, save_model
from seld_overlap_ros.models.torch_engine import TorchEngine
from seld_overlap_ros.simulation.mixture import image, level, mix
from seld_overlap_ros.simulation.noise import diffuse_noise
from seld_overlap_ros.simulation.rooms import make_bank, scene_rng

RECORDINGS = Path(__file__).parent / "recordings"


@pytest.fixture(scope="module")
def shipped() -> Hearing:
    return Hearing(Possible(load_engine(DEFAULT_MODEL), ",".join(CLASSES)))


@pytest.fixture(scope="module")
def bank():
    return make_bank("test of hearing", 1, MicrophoneArray.circular(), uniform_azimuths(), 16000, per_direction=1)


@pytest.fixture(scope="module")
def untrained() -> Hearing:
    torch.manual_seed(0)
    return Hearing(TorchEngine(System(SystemConfig(labels=("a", "b"), width=1 / 32))), direction_threshold=0.0)


def scene(bank, n_samples: int, *draw: int, **directions: int) -> tuple[np.ndarray, np.ndarray]:
    """Recordings in a room over white diffuse noise at 15 dB -> window (M, n) and each at microphone 0 alone (K, n).

    `draw`: a number for other noise.
    """
    images = []
    for name, direction in directions.items():
        dry, _ = soundfile.read(RECORDINGS / f"{name}.flac", dtype="float32")
        [place] = [place for place in bank.rooms[0].places if place.direction == direction]
        heard = image(dry, bank.rirs[place.row], 12000, n_samples)
        images.append(heard / level(heard[0]))
    rng = scene_rng("test of hearing", *directions.values(), *draw)
    white = [rng.standard_normal(n_samples).astype(np.float32)]
    noise = diffuse_noise(white, bank.array, n_samples, bank.sample_rate, rng)
    mixture, stems = mix(np.stack(images), noise, 15.0)
    scale = 0.3 / np.abs(mixture).max()
    return scale * mixture, scale * stems


def test_one_source_is_found_in_its_direction(shipped, bank):
    """From each direction, over six draws of the noise: of a single window, chance decides."""
    hits = said = 0
    asked = list(product(range(8), range(6)))
    for direction, draw in asked:
        window, _ = scene(bank, shipped.config.front_end.window_samples, draw, songbird=direction)
        found = {source.direction for source in shipped(window)}
        hits, said = hits + (direction in found), said + len(found)
    assert 2 * hits / (said + len(asked)) >= 0.97  # F1


def snr_db(heard: np.ndarray, alone: np.ndarray) -> float:
    return float(10 * np.log10(np.sum(alone**2) / np.sum((heard - alone) ** 2)))


def test_two_at_once_are_told_apart_named_and_each_cleaner_than_it_went_in(shipped, bank):
    window, alone = scene(bank, shipped.config.front_end.window_samples, songbird=2, cymbal=7)
    heard = {source.direction: source for source in shipped(window)}
    assert set(heard) == {2, 7}
    named = [shipped.config.labels[int(heard[direction].class_scores.argmax())] for direction in (2, 7)]
    assert named == ["songbird", "cymbal_crash"]
    for direction, stem in zip((2, 7), alone, strict=True):
        assert snr_db(heard[direction].samples, stem) > snr_db(window[0], stem)


def test_query_set_holds_what_reaches_the_threshold_strongest_first():
    prob = np.array([0.1, 0.5, 0.9, 0.4], np.float32)
    assert query_set(prob, 0.5, always_strongest=False).tolist() == [2, 1]
    assert query_set(prob, 0.95, always_strongest=False).tolist() == []
    assert query_set(prob, 0.95, always_strongest=True).tolist() == [2]


def test_a_direction_that_is_known_is_asked_at_half_the_odds():
    prob = np.array([0.4, 0.3, 0.9, 0.4], np.float32)
    assert query_set(prob, 0.5, always_strongest=False, known=(0, 1)).tolist() == [2, 0]


def test_a_known_direction_is_heard_at_a_score_that_is_too_low_for_a_new_one(untrained):
    window = scene_rng("known").standard_normal((8, untrained.config.front_end.window_samples)).astype(np.float32)
    best = untrained(window)[0]  # all directions, strongest first
    strict = Hearing(untrained.engine, direction_threshold=best.direction_score + 0.01)
    assert kept_threshold(strict.direction_threshold) < best.direction_score
    assert strict(window) == []
    assert [source.direction for source in strict(window, known=[best.direction])] == [best.direction]


@pytest.mark.parametrize(("threshold", "kept"), [(0.0, 0.0), (0.5, 1 / 3), (0.75, 0.6), (1.0, 1.0)])
def test_the_threshold_of_a_known_direction_is_lower_and_the_same_at_both_ends(threshold, kept):
    assert kept_threshold(threshold) == pytest.approx(kept)


def test_silence_holds_no_sound(untrained):
    window = np.zeros((8, untrained.config.front_end.window_samples), np.float32)
    assert untrained(window) == []
    assert strongest_only(untrained)(window) == []


def strongest_only(hearing: Hearing) -> Hearing:
    return Hearing(hearing.engine, 1.0, always_strongest=True)


def test_asking_all_directions_at_once_equals_asking_one_by_one(untrained):
    window = scene_rng("all at once").standard_normal((8, untrained.config.front_end.window_samples)) * 0.1
    window = window.astype(np.float32)
    together = {source.direction: source for source in untrained(window)}
    assert sorted(together) == list(range(8))
    strongest = max(together.values(), key=lambda source: source.direction_score)
    [alone] = strongest_only(untrained)(window)
    assert alone.direction == strongest.direction
    np.testing.assert_allclose(alone.samples, strongest.samples, atol=1e-5)
    np.testing.assert_allclose(alone.class_scores, strongest.class_scores, atol=1e-5)


@pytest.mark.parametrize("shape", [(7, 65792), (8, 65791), (65792,)])
def test_a_window_of_another_shape_is_refused(untrained, shape):
    with pytest.raises(ValueError, match=r"\(8, 65792\)"):
        untrained(np.zeros(shape, np.float32))


@pytest.fixture(params=SYSTEMS)
def system(request) -> System:
    torch.manual_seed(0)
    return System(SystemConfig(labels=("a", "b"), system=request.param, width=1 / 32)).eval()


@pytest.mark.parametrize("engine", ENGINES[1:])
def test_the_stages_one_by_one_each_with_its_network_alone_hear_what_hearing_hears(system, tmp_path, engine):
    """As a node per stage does: each has its own copy of the model, and loads no other network."""
    config = system.config
    save_model(tmp_path / "model.safetensors", system, {})
    window = 0.1 * scene_rng("stages").standard_normal((8, config.front_end.window_samples)).astype(np.float32)
    expected = Hearing(load_engine(tmp_path / "model.safetensors", engine), 0.4, always_strongest=True)(window)
    assert expected

    def alone(network: str) -> Engine:
        return load_engine(tmp_path / "model.safetensors", engine, [network])

    def features() -> np.ndarray:
        return analyse(window, config.front_end)[0]

    activity = localize(alone("ssl"), features(), 0.4, always_strongest=True)
    separations = [separate(alone(f"sss.{n}"), features(), activity, n) for n in range(config.n_sss)]
    _, phase = analyse(window[:1], config.front_end)
    heard = classify(alone("ssc"), phase, join(separations))
    for mine, wanted in zip(heard, expected, strict=True):
        assert (mine.direction, mine.direction_score) == (wanted.direction, wanted.direction_score)
        np.testing.assert_allclose(mine.class_scores, wanted.class_scores, atol=1e-6)
        np.testing.assert_allclose(mine.log_mag, wanted.log_mag, atol=1e-6)
        np.testing.assert_allclose(mine.samples, wanted.samples, atol=1e-6)


def test_hearing_separates_as_the_system_was_trained(system):
    """The stages against the pass that training optimises: for each direction, the same spectrum and class."""
    window = 0.1 * scene_rng("stages").standard_normal((8, 65792)).astype(np.float32)
    heard = Hearing(TorchEngine(system), 0.0)(window)
    assert len(heard) == 8
    x = torch.from_numpy(analyse(window, system.config.front_end)[0])[None].expand(8, -1, -1, -1)
    with torch.inference_mode():
        _, separated, logits = system(x, torch.tensor([source.direction for source in heard]))
    np.testing.assert_allclose(np.stack([source.log_mag for source in heard]), separated, atol=1e-5)
    np.testing.assert_allclose(np.stack([source.class_scores for source in heard]), logits.softmax(1), atol=1e-5)


def test_nothing_asked_passes_through_all_stages(system):
    activity, features = silence(system.config), np.zeros((15, 256, 256), np.float32)
    engine = TorchEngine(system)
    spectra = [separate(engine, features, activity, n) for n in range(system.config.n_sss)]
    assert spectra[0].log_mag.shape == (0, 256, 256)
    assert classify(engine, np.zeros((256, 256), np.complex64), join(spectra)) == []


def test_the_gate_refuses_what_does_not_belong_together():
    one, other = (Spectra(np.array([q]), np.ones(1, np.float32), np.zeros((1, 4, 4), np.float32)) for q in (1, 2))
    np.testing.assert_allclose(first_weights([one, one]), 0.5)
    with pytest.raises(ValueError, match=r"directions \[1\] .* and \[2\] .* do not belong together"):
        join([one, other])
