"""A sound keeps its id from window to window, and its onset and end are those of the sound."""

from dataclasses import dataclass

import numpy as np
import pytest

from seld_overlap_ros.config import FrontEnd, SystemConfig
from seld_overlap_ros.streaming.tracks import IDS_A_SECOND, JOIN_S, SECOND, TrackedSound, Tracks

CONFIG = SystemConfig(labels=("bell", "dog"), front_end=FrontEnd(n_frames=256))
WINDOW_S = CONFIG.front_end.window_s
FRAME_S = CONFIG.front_end.hop / CONFIG.front_end.sample_rate
START_S = 1000.0
TOLERANCE_S = 2 * FRAME_S
BEFORE_FIRST = int(START_S) * IDS_A_SECOND  # an id, of the sounds of windows from START_S on


@dataclass
class Source:
    """What `Hearing` gives for one direction."""

    direction: int
    log_mag: np.ndarray
    samples: np.ndarray
    class_scores: np.ndarray
    direction_score: float = 0.9


def source(window_s: float, sounds: list[tuple], direction: int = 0, bell: float = 0.8) -> Source:
    """A direction of the window that starts at window_s, with sounds from and to [s], and maybe how loud they are.

    That is in dB, as it is or as a function of time; -12 if not given.
    """
    front_end = CONFIG.front_end
    times = window_s + (np.arange(front_end.n_frames) + 1) * FRAME_S  # middle of each frame
    log_mag = np.zeros((front_end.n_bins, front_end.n_frames), np.float32)
    for begin, end, *level_db in sounds:
        active = (begin <= times) & (times < end)
        level = level_db[0] if level_db else -12.0
        log_mag[20:40, active] = 1 + (level(times[active]) if callable(level) else level) / 120
    samples = np.ones(front_end.window_samples, np.float32)
    return Source(direction, log_mag, samples, np.array([bell, 1 - bell], np.float32))


def hear(tracks: Tracks, window_s: float, *sources: Source) -> list[TrackedSound]:
    return tracks.update(round((START_S + window_s) * SECOND), list(sources))


@pytest.fixture()
def tracks() -> Tracks:
    return Tracks(CONFIG)


def windows(seconds: float, hop_s: float = 0.5) -> list[float]:
    return [k * hop_s for k in range(int(seconds / hop_s))]


def test_a_sound_keeps_its_id_its_onset_and_its_end(tracks):
    begin, end = 3.0, 5.5
    heard = [
        sound
        for at in windows(5)
        for sound in hear(tracks, at, source(START_S + at, [(START_S + begin, START_S + end)]))
    ]
    assert {sound.id for sound in heard} == {BEFORE_FIRST + 1}
    assert heard[-1].onset_ns / SECOND == pytest.approx(START_S + begin, abs=TOLERANCE_S)
    assert heard[-1].duration_ns / SECOND == pytest.approx(end - begin, abs=2 * TOLERANCE_S)


def test_sounds_from_two_directions_are_two(tracks):
    for at in windows(2):
        ids = {
            sound.direction: sound.id
            for sound in hear(
                tracks,
                at,
                source(START_S + at, [(START_S + 1, START_S + 4)], direction=0),
                source(START_S + at, [(START_S + 2, START_S + 5)], direction=3),
            )
        }
    assert len(ids) == 2
    assert ids[0] != ids[3]


def test_a_long_pause_parts_two_sounds_and_their_waveforms(tracks):
    first, second = hear(tracks, 0, source(START_S, [(START_S + 0.5, START_S + 1), (START_S + 3, START_S + 3.5)]))
    assert first.id != second.id
    assert first.onset_ns < second.onset_ns
    np.testing.assert_array_equal(first.samples + second.samples, 1)
    middle = round(2.0 * CONFIG.front_end.sample_rate)
    assert first.samples[: middle - 400].all()
    assert second.samples[middle + 400 :].all()


def test_a_short_pause_parts_nothing(tracks):
    assert len(hear(tracks, 0, source(START_S, [(START_S + 0.5, START_S + 1), (START_S + 1.4, START_S + 2)]))) == 1


@pytest.mark.parametrize(("level_db", "n"), [(-6, 2), (-20, 1)])
def test_what_leaks_in_from_another_direction_is_no_sound_of_this_one(tracks, level_db, n):
    both = source(START_S, [(START_S + 0.5, START_S + 1), (START_S + 3, START_S + 3.5)])
    both.log_mag[:, round(2.5 / FRAME_S) :][20:40] += level_db / 120 * (both.log_mag[20:40, round(2.5 / FRAME_S) :] > 0)
    assert len(hear(tracks, 0, both)) == n


def test_a_sound_that_comes_again_later_is_another(tracks):
    before = hear(tracks, 0, source(START_S, [(START_S + 1, START_S + 2)]))
    for at in (2.0, 4.0, 6.0):
        assert not hear(tracks, at)
    after = hear(tracks, 8, source(START_S + 8, [(START_S + 9, START_S + 10)]))
    assert [sound.id for sound in before + after] == [BEFORE_FIRST + 1, BEFORE_FIRST + 2]


def test_who_begins_anew_gives_no_id_again_and_who_hears_the_same_the_same(tracks):
    sounds = [(START_S + k, START_S + k + 0.3) for k in (0.5, 1.5, 2.5, 3.5)]
    first = hear(tracks, 0, source(START_S, sounds, 0), source(START_S, sounds, 3))
    anew = hear(Tracks(CONFIG), 1, source(START_S + 1, sounds, 0), source(START_S + 1, sounds, 3))
    again = hear(Tracks(CONFIG), 0, source(START_S, sounds, 0), source(START_S, sounds, 3))
    assert max(sound.id for sound in first) < min(sound.id for sound in anew)
    assert [sound.id for sound in again] == [sound.id for sound in first]


def test_the_scores_are_the_mean_of_the_windows(tracks):
    sound_s = (START_S + 2, START_S + 3)
    hear(tracks, 0, source(START_S, [sound_s], bell=1.0))
    (sound,) = hear(tracks, 0.5, source(START_S + 0.5, [sound_s], bell=0.5))
    np.testing.assert_allclose(sound.class_scores, [0.75, 0.25], atol=0.02)
    assert sound.class_scores.sum() == pytest.approx(1)


def test_stamps_that_go_back_start_anew_with_fresh_ids(tracks):
    before = hear(tracks, 100, source(START_S + 100, [(START_S + 101, START_S + 102)]))
    after = hear(tracks, 0, source(START_S, [(START_S + 1, START_S + 2)]))
    assert before[0].id + 1 == after[0].id
    assert after[0].onset_ns / SECOND == pytest.approx(START_S + 1, abs=TOLERANCE_S)


def test_a_sound_never_ends_before_it_began(tracks):
    hear(tracks, 0, source(START_S, [(START_S + 1.0, START_S + 9)]))
    (sound,) = hear(tracks, 0.5, source(START_S + 0.5, [(START_S, START_S + 0.9)]))
    assert sound.duration_ns >= 0


def test_silence_holds_no_sound(tracks):
    assert hear(tracks, 0) == []
    assert hear(tracks, 0.5, source(START_S + 0.5, [])) == []


def run(tracks: Tracks, at_s: list[float], *sounds: tuple[float, float]) -> list[dict]:
    """What is said of each window: sounds and ended by id."""
    said = []
    for at in at_s:
        heard = hear(tracks, at, source(START_S + at, [(START_S + a, START_S + b) for a, b in sounds]))
        said.append({"sounds": {s.id: s for s in heard}, "ended": {s.id: s for s in tracks.ended}})
    return said


def test_the_end_of_a_sound_is_said_once_and_soon(tracks):
    said = run(tracks, windows(5), (3.0, 5.5))
    [at] = [at for at, each in zip(windows(5), said, strict=True) if each["ended"]]
    assert 5.5 + JOIN_S <= at + WINDOW_S <= 5.5 + JOIN_S + 0.5 + TOLERANCE_S
    assert [sound.ended for each in said for sound in each["sounds"].values()] == [
        window >= at for window in windows(5) if window + WINDOW_S > 3.0 + 3 * FRAME_S]
    [last] = said[windows(5).index(at)]["ended"].values()
    assert (last.id, last.ended) == (BEFORE_FIRST + 1, True)
    assert last.duration_ns / SECOND == pytest.approx(2.5, abs=2 * TOLERANCE_S)


def test_a_sound_that_is_no_longer_heard_has_ended_too(tracks):
    said = run(tracks, [0.0], (1.0, 9.0)) + [{"sounds": hear(tracks, at), "ended": tracks.ended} for at in (0.5, 1.0)]
    assert [len(each["ended"]) for each in said] == [0, 0, 1]
    [last] = tracks.ended
    assert (last.id, last.ended, len(last.samples)) == (BEFORE_FIRST + 1, True, 0)
    assert (last.onset_ns + last.duration_ns) / SECOND == pytest.approx(START_S + WINDOW_S, abs=TOLERANCE_S)
    hear(tracks, 1.5)
    assert tracks.ended == []


def test_a_sound_that_was_missed_in_one_window_goes_on(tracks):
    run(tracks, [0.0], (1.0, 9.0))
    assert hear(tracks, 0.5) == [] and tracks.ended == []
    [again] = run(tracks, [1.0], (1.0, 9.0))
    assert {known: sound.ended for known, sound in again["sounds"].items()} == {BEFORE_FIRST + 1: False}


@pytest.mark.parametrize("hop_s", [0.128, 0.25, 0.496])
@pytest.mark.parametrize("every_s", [0.4, 0.5])
def test_knocks_go_on_until_they_have_been_quiet_for_long_enough(tracks, hop_s, every_s):
    knocks = [(START_S + 5 + every_s * k, START_S + 5.05 + every_s * k) for k in range(12)]
    until, ended_s, durations = knocks[-1][1], [], []
    for at in windows(14, hop_s):
        sounds = hear(tracks, at, source(START_S + at, knocks))
        ended_s += [START_S + at + WINDOW_S for _ in tracks.ended]
        durations += [sound.duration_ns / SECOND for sound in sounds]
    assert len(ended_s) == 1 and until + JOIN_S - TOLERANCE_S < ended_s[0] < until + JOIN_S + hop_s + TOLERANCE_S
    assert durations[-1] == pytest.approx(until - knocks[0][0], abs=2 * TOLERANCE_S)


def follow(tracks: Tracks, hop_s: float, seconds: float, sounds) -> tuple[dict, list]:
    """What is heard of sounds, which a function says of each window's start -> latest word by id, and all ends."""
    latest, ended = {}, []
    for at in windows(seconds, hop_s):
        latest |= {sound.id: sound for sound in hear(tracks, at, source(START_S + at, sounds(at)))}
        ended += tracks.ended
    return latest, ended


def spans(sounds) -> list[tuple[float, float]]:
    """Onset and duration [s] of each, from START_S on."""
    return [(round(sound.onset_ns / SECOND - START_S, 2), round(sound.duration_ns / SECOND, 2)) for sound in sounds]


@pytest.mark.parametrize("fall_db_per_s", [10, 15, 20])
@pytest.mark.parametrize("hop_s", [0.128, 0.25, 0.496])
def test_a_bell_that_dies_away_slowly_ends_once(tracks, hop_s, fall_db_per_s):
    bell = (START_S + 5, START_S + 16, lambda times: -10 - fall_db_per_s * (times - START_S - 5))
    latest, ended = follow(tracks, hop_s, 14, lambda at: [bell])
    expected = [pytest.approx((5, 25 / fall_db_per_s), abs=TOLERANCE_S)]
    assert spans(latest.values()) == expected and spans(ended) == expected


def test_two_sounds_stay_two_though_one_window_misses_the_pause(tracks):
    def sounds(at):
        return [(START_S + 5, START_S + (6.1 if 3.9 < at < 4.1 else 6)), (START_S + 6.65, START_S + 8.15)]

    latest, ended = follow(tracks, 0.5, 9, sounds)
    two = [pytest.approx((5, 1), abs=TOLERANCE_S), pytest.approx((6.65, 1.5), abs=TOLERANCE_S)]
    assert spans(latest.values()) == two and spans(ended) == two


@pytest.mark.parametrize("late_at", [3.5, 5.0])
def test_one_window_that_hears_a_sound_for_too_long_changes_nothing(tracks, late_at):
    def sounds(at):
        return [(START_S + 5, START_S + 6.5), *([(START_S + 6.98, START_S + 7.02)] if at == late_at else [])]

    _, ended = follow(tracks, 0.5, 9, sounds)
    assert spans(ended) == [pytest.approx((5, 1.5), abs=TOLERANCE_S)]


def test_a_click_that_is_no_sound_hides_none(tracks):
    latest, _ = follow(tracks, 0.5, 3, lambda at: [(START_S + 5, START_S + 5.031),
                                                     (START_S + 5.83, START_S + 7.8, -28)])
    assert spans(latest.values())[0][0] == pytest.approx(5.83, abs=TOLERANCE_S)


@pytest.mark.parametrize("hop_s", [0.5, 1.0, 2.0])
def test_what_a_known_sound_goes_on_with_is_no_leak_of_a_louder_one(tracks, hop_s):
    sounds = [(START_S + 4, START_S + 9, -30), (START_S + 9.8, START_S + 11, -15)]
    latest, _ = follow(tracks, hop_s, 14, lambda at: sounds)
    assert spans(latest.values())[0] == pytest.approx((4, 5), abs=2 * TOLERANCE_S)


def test_at_a_short_hop_a_sound_is_not_over_though_windows_end_quietly(tracks):
    def sounds(at):
        return [(START_S + 5, START_S + min(12, at + WINDOW_S - 0.05))]

    _, ended = follow(tracks, 0.048, 13, sounds)
    assert spans(ended) == [pytest.approx((5, 7), abs=TOLERANCE_S)]


def test_an_end_that_was_none_is_taken_back_and_said_again(tracks):
    [first] = run(tracks, [0.0], (1.0, 3.0))
    [second] = run(tracks, [2.0], (1.0, 9.0))
    assert list(first["ended"]) == [BEFORE_FIRST + 1] and not second["ended"]
    assert {known: sound.ended for known, sound in second["sounds"].items()} == {BEFORE_FIRST + 1: False}
    hear(tracks, 3.0)
    assert [sound.id for sound in tracks.ended] == [BEFORE_FIRST + 1]


@pytest.mark.parametrize("jump_s", [-100, 100])
def test_what_sounded_when_the_stamps_jump_has_ended(tracks, jump_s):
    run(tracks, [0.0], (1.0, 9.0))
    hear(tracks, jump_s)
    assert [(sound.id, sound.ended) for sound in tracks.ended] == [(BEFORE_FIRST + 1, True)]
    hear(tracks, jump_s + 0.5)
    assert tracks.ended == []


def test_a_sound_whose_best_class_is_unlikely_is_unknown(tracks):
    tracks.class_threshold = 0.7
    sound_s = (START_S + 2, START_S + 3)
    [sound] = hear(tracks, 0, source(START_S, [sound_s], bell=0.6))
    assert sound.unknown and sound.class_scores.argmax() == 0
    [sound] = hear(tracks, 0.5, source(START_S + 0.5, [sound_s], bell=0.9))  # the mean of both windows counts
    assert not sound.unknown


def test_sounds_that_are_parted_fade_into_each_other(tracks):
    first, second = hear(tracks, 0, source(START_S, [(START_S + 0.5, START_S + 1), (START_S + 3, START_S + 3.5)]))
    assert 0 < np.abs(np.diff(first.samples)).max() <= 1 / CONFIG.front_end.hop
    assert 0 < np.abs(np.diff(second.samples)).max() <= 1 / CONFIG.front_end.hop
