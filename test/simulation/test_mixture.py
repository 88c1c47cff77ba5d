"""Mixtures: the SNR that was asked, truth that fits the samples, and draws that do not depend on order."""

import math
from dataclasses import dataclass

import numpy as np
import pytest

from seld_overlap_ros.config import MicrophoneArray, uniform_azimuths
from seld_overlap_ros.simulation.fresh import FreshMixtures
from seld_overlap_ros.simulation.mixture import as_heard, draw_scene, level, mix, place_in_window
from seld_overlap_ros.simulation.noise import NoiseBank
from seld_overlap_ros.simulation.rooms import RoomBank, make_bank, scene_rng
from seld_overlap_ros.simulation.store import MixtureStore, make_store

RATE, N = 16000, 65792


@dataclass
class DryClip:
    label: str
    source: str
    samples: np.ndarray


@pytest.fixture(scope="module")
def bank() -> RoomBank:
    return make_bank("test", 1, MicrophoneArray.circular(), uniform_azimuths(), RATE, per_direction=1)


@pytest.fixture(scope="module")
def sounds() -> tuple[dict, NoiseBank]:
    rng = np.random.default_rng(0)
    clips = {
        name: [DryClip(name, name, rng.uniform(-1, 1, n).astype(np.float32))]
        for name, n in (("tick", 2000), ("tone", 20000), ("rush", 70000))
    }
    return clips, NoiseBank(rng.standard_normal((2, 8, 2 * N)).astype(np.float16))


@pytest.mark.parametrize("snr_db", [0.0, 15.0])
def test_snr_is_the_asked_one(snr_db):
    rng = np.random.default_rng(0)
    images, noise = rng.standard_normal((2, 8, N)), rng.standard_normal((8, N))
    mixture, stems = mix(images, noise, snr_db)
    left = mixture[0] - stems.sum(axis=0)
    assert 20 * np.log10(level(stems.sum(axis=0)) / np.std(left)) == pytest.approx(snr_db, abs=0.1)


def test_scene_fits_its_truth(bank, sounds):
    for index in range(12):
        scene = draw_scene(scene_rng("t", index), sounds[0], bank, sounds[1], N)
        assert scene.mixture.shape == (8, N) and scene.stems.shape == (len(scene.events), N)
        assert 1 <= len(scene.events) <= 3 and np.abs(scene.mixture).max() <= 1
        assert len({event.direction for event in scene.events}) == len(scene.events)
        for event, stem in zip(scene.events, scene.stems, strict=True):
            first = np.argmax(np.abs(stem) > 0.05 * np.abs(stem).max()) / RATE
            assert first == pytest.approx(event.onset_s, abs=0.03)
            assert 0 <= event.onset_s < event.onset_s + event.duration_s <= N / RATE + 1e-6


def test_a_recording_that_is_mostly_silence_is_placed_so_that_it_sounds():
    dry = np.zeros(N, np.float32)
    dry[:800] = 0.5  # a third of the places would cut this off
    for index in range(60):
        inside, _ = place_in_window(dry, N, scene_rng("silence", index))
        assert inside.any()


def test_a_turned_scene_is_the_same_one_seen_otherwise(bank, sounds):
    pairs = [[draw_scene(scene_rng("turn", index), *(sounds[0], bank, sounds[1], N), varied=varied).events
              for varied in (False, True)] for index in range(20)]
    steps = []
    for plain, turned in pairs:
        assert [event.clip for event in plain] == [event.clip for event in turned]
        step = {(b.direction - a.direction) % 8 for a, b in zip(plain, turned, strict=True)}
        assert len(step) == 1
        steps += step
        for event in turned:
            assert abs(math.remainder(event.azimuth - bank.azimuths[event.direction], 2 * math.pi)) < math.radians(6)
    assert len(set(steps)) > 3


@pytest.mark.parametrize("varied", [False, True])
def test_the_microphone_towards_a_sound_hears_it_first(sounds, leading, varied):
    clips, noise = {"rush": sounds[0]["rush"]}, sounds[1]
    bank = make_bank("lead", 1, MicrophoneArray.circular(), uniform_azimuths(), RATE, per_direction=2, anechoic=True)
    drawn = (draw_scene(scene_rng("lead", index), clips, bank, noise, 8000, varied) for index in range(50))
    alone = [scene for scene in drawn if len(scene.events) == 1]
    assert len({scene.events[0].direction for scene in alone}) > 4
    assert [leading(scene.mixture) for scene in alone] == [scene.events[0].direction for scene in alone]


def test_same_scene_in_any_order(bank, sounds):
    forward = [draw_scene(scene_rng("o", i), sounds[0], bank, sounds[1], N) for i in (3, 4)]
    backward = [draw_scene(scene_rng("o", i), sounds[0], bank, sounds[1], N) for i in (4, 3)][::-1]
    for one, other in zip(forward, backward, strict=True):
        np.testing.assert_array_equal(one.mixture, other.mixture)
        assert one.events == other.events


def test_short_sounds_come_in_series():
    clip = DryClip("tick", "tick", np.ones(1000, np.float32))
    series = as_heard(clip.samples, N, RATE, np.random.default_rng(0))
    assert 2 <= round(series.sum() / 1000) <= 6


@pytest.mark.parametrize("length", [1000, 40000, N])
def test_most_of_a_clip_is_inside_the_window(length):
    rng = np.random.default_rng(0)
    for _ in range(200):
        part, start = place_in_window(np.ones(length, np.float32), N, rng)
        assert 0 <= start and start + len(part) <= N and len(part) >= 0.69 * length


def test_store_holds_the_scenes_to_16_bits(bank, sounds, tmp_path):
    fresh = FreshMixtures("train", 3, sounds[0], bank, sounds[1], N)
    make_store(tmp_path, fresh)
    store = MixtureStore.load(tmp_path)
    assert (len(store), store.array, store.azimuths) == (3, bank.array, bank.azimuths)
    assert store.labels == ("rush", "tick", "tone")
    scene, loaded = fresh[2], store[2]
    np.testing.assert_allclose(loaded.mixture, scene.mixture, atol=1 / 32767)
    assert loaded.events == scene.events


def test_store_is_the_same_to_the_bit_whatever_the_number_of_workers(bank, sounds, tmp_path):
    fresh = FreshMixtures("train", 5, sounds[0], bank, sounds[1], N)
    one, two = (make_store(tmp_path / str(workers), fresh, workers) for workers in (0, 2))
    np.testing.assert_array_equal(one.mixtures, two.mixtures)
    np.testing.assert_array_equal(one.stems, two.stems)
    assert one.truth == two.truth


def test_every_pass_has_mixtures_of_its_own(bank, sounds):
    fresh = FreshMixtures("train", 1, sounds[0], bank, sounds[1], N)
    first, again, later = (fresh.of("sss_ssc", number)[0].mixture for number in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, later)


def test_half_made_store_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="seld-overlap data mix"):
        MixtureStore.load(tmp_path)
