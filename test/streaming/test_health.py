"""What the lines for /diagnostics say of an input and of the work, in a time of the test's own."""

import numpy as np
import pytest

from seld_overlap_ros.streaming.counts import AudioCounts
from seld_overlap_ros.streaming.health import ERROR, LATENCY_S, OK, RECENT_S, SECOND, WARN, AudioHealth, Work

RATE, M = 16000, 4
RNG = np.random.default_rng(0)
NO_AUDIO = "no audio on /audio yet"


def noise(n=1600):
    return RNG.normal(0, 0.05, (n, M)).astype(np.float32)


class Input:
    """Counts that fill up in a time of their own, ten chunks a second."""

    def __init__(self):
        self.counts, self.now_s, self.last_s = AudioCounts(M), 100.0, None
        self.health = AudioHealth(self.counts)

    def second(self, chunk=noise, pace=1.0):
        """One second with chunks whose samples `chunk` makes. Returns the status after it."""
        for _ in range(10):
            self.now_s += 0.1 / pace
            self.last_s = self.now_s
            self.counts.add(chunk(), RATE)
        return self.status()

    def status(self):
        return self.health.status(self.now_s, self.last_s, RATE, "/audio", NO_AUDIO)


@pytest.fixture
def audio():
    return Input()


def seconds(audio, n, *args, **given):
    return [audio.second(*args, **given) for _ in range(n)][-1]


def test_good_audio_is_well(audio):
    status = seconds(audio, 12)
    assert (status.level, status.sentence) == (OK, "4 microphones at 16000 Hz on /audio")
    assert status.values["rate measured [Hz]"] == "16000"
    assert status.values["levels [dB]"] == "-26 -26 -26 -26"
    assert (status.values["dead microphones"], status.values["microphones alike"]) == ("none", "none")


def test_audio_that_never_came_and_audio_that_stopped_are_errors(audio):
    assert (audio.status().level, audio.status().sentence) == (ERROR, NO_AUDIO)
    seconds(audio, 5)
    audio.now_s += 3
    assert audio.status().level == ERROR
    assert "no more audio on /audio for 3 s" in audio.status().sentence


def test_a_format_that_is_told_anew_leaves_the_rate_open_for_a_moment(audio):
    seconds(audio, 5)
    status = audio.health.status(audio.now_s, audio.last_s, 0, "/audio", NO_AUDIO)  # the new one is not known yet
    assert status.level == OK


def test_refused_audio_is_an_error_until_some_is_taken(audio):
    audio.second()
    audio.counts.refused += 1
    audio.counts.refusal = audio.counts.last_refusal = "mp3 cannot be used: start audio_capture with format:=wave"
    assert audio.status().level == ERROR
    assert "audio refused: mp3" in audio.status().sentence
    status = audio.second()
    assert (status.level, status.sentence) == (WARN, "1 messages were refused within 10 s: mp3 cannot be used: start "
                                                     "audio_capture with format:=wave")
    assert seconds(audio, int(RECENT_S) + 1).level == OK


@pytest.mark.parametrize("pause_s", [5, 60, 3600])
def test_a_pause_says_nothing_of_the_rate(audio, pause_s):
    seconds(audio, 12)
    audio.now_s += pause_s
    audio.status()
    audio.counts.restarts += 1
    assert "listening started anew, 1 times" in audio.second().sentence
    assert all("comes at" not in audio.second().sentence for _ in range(12))
    assert audio.status().level == OK


def test_audio_that_comes_from_two_sources_is_not_put_down_to_its_rate(audio):
    seconds(audio, 6, pace=2.0)
    audio.counts.overlaps += 20
    assert "audio came twice" in audio.second(pace=2.0).sentence


def test_muted_microphones_are_not_taken_for_an_unknown_format(audio):
    audio.last_s = audio.now_s
    assert audio.status().sentence == "no sound on /audio yet: are the microphones muted?"


def test_audio_whose_format_is_unknown_is_said(audio):
    status = audio.health.status(audio.now_s, audio.now_s, 0, "/audio", NO_AUDIO)
    assert status.level == WARN
    assert "audio_info" in status.sentence


@pytest.mark.parametrize("pace", [0.9, 44100 / 48000, 2.0])
def test_audio_at_another_pace_than_its_rate_is_said(audio, pace):
    status = seconds(audio, 14, pace=pace)
    assert status.level == WARN
    assert f"comes at {RATE * pace:.0f} Hz" in status.sentence


def test_the_audio_that_waited_for_its_format_is_no_pace(audio):
    audio.counts.add(noise(6 * RATE), RATE)  # at once
    audio.last_s = audio.now_s
    audio.status()
    assert seconds(audio, 12).level == OK


@pytest.mark.parametrize(
    ("name", "sentence"),
    [("gaps", "audio was missing, 2 times"), ("overlaps", "audio came twice, 2 times"),
     ("restarts", "listening started anew, 2 times"), ("odd_stamps", "a stamp was wrong, 2 times"),
     ("unusable", "NaN, infinite")],
)
def test_what_adds_up_is_said_for_a_while_and_counted_for_good(audio, name, sentence):
    seconds(audio, 3)
    setattr(audio.counts, name, 2)
    assert sentence in audio.second().sentence
    assert audio.second().level == WARN
    status = seconds(audio, int(RECENT_S) + 1)
    assert status.level == OK
    value = {"odd_stamps": "odd stamps", "unusable": "unusable samples"}.get(name, name)
    assert status.values[value].split()[0] == "2"


def test_a_dead_microphone_is_an_error(audio):
    def dead():
        return noise() * np.array([1, 1, 0, 1], np.float32)

    status = seconds(audio, 2, dead)
    assert status.level == ERROR
    assert "microphone 2 is dead" in status.sentence
    assert status.values["dead microphones"] == "2"
    assert audio.second().level == OK


def test_two_channels_with_the_same_samples_are_an_error(audio):
    status = seconds(audio, 2, lambda: noise()[:, [0, 1, 2, 1]])
    assert status.level == ERROR
    assert "microphones 1 and 3 give the very same samples" in status.sentence
    assert status.values["microphones alike"] == "1 and 3"
    assert audio.second().values["microphones alike"] == "none"


def test_silent_channels_are_not_taken_for_alike(audio):
    status = seconds(audio, 6, lambda: np.zeros((1600, M), np.float32))
    assert status.level == WARN
    assert "are they muted?" in status.sentence
    assert audio.counts.twins() == []


def test_clipping_is_said(audio):
    assert "at full scale: turn down the gain" in seconds(audio, 3, lambda: np.clip(20 * noise(), -1, 1)).sentence
    assert audio.counts.clipped > 0


@pytest.mark.parametrize(("gain", "sentence"), [(0.01, "microphone 1 is 40 dB quieter"), (100, "40 dB louder")])
def test_a_microphone_far_from_the_others_is_said_once_it_lasts(audio, gain, sentence):
    def one_off():
        return noise() * np.array([1, gain, 1, 1], np.float32) / max(1, gain)

    assert seconds(audio, 3, one_off).level == OK
    assert sentence in seconds(audio, 9, one_off).sentence


def test_levels_that_differ_by_noise_alone_are_not_said(audio):
    assert seconds(audio, 12, lambda: noise() * np.array([1e-3, 1e-5, 1e-3, 1e-3], np.float32)).level == OK


class Clock:
    def __init__(self):
        self.now_s = 1000.0

    def __call__(self):
        return self.now_s

    def ns(self):
        return round(self.now_s * SECOND)


@pytest.fixture
def clock():
    return Clock()


def work_on(work, clock, n, hop_s=0.5, busy_s=0.1, window_s=4.0, drop=False):
    """n windows, each there at the moment when its last sample is."""
    for _ in range(n):
        clock.now_s += hop_s
        stamp_ns = clock.ns() - round(window_s * SECOND)
        work.came(stamp_ns)
        if drop:
            work.dropped()
            continue
        with work.window(stamp_ns):
            clock.now_s += busy_s
        clock.now_s -= busy_s


def test_latency_and_real_time_factor_are_those_of_the_last_minute(clock):
    work = Work(4.0, clock.ns, clock)
    work_on(work, clock, 60, busy_s=0.4)
    work_on(work, clock, 100, busy_s=0.1)
    work_on(work, clock, 20, busy_s=0.2)
    status = work.status()
    assert status.level == OK
    assert status.values["windows done"] == "180"
    assert float(status.values["latency, median [s]"]) == pytest.approx(0.1, abs=0.002)
    assert float(status.values["latency, 95th percentile [s]"]) == pytest.approx(0.2, abs=0.002)
    assert float(status.values["time from window to window [s]"]) == pytest.approx(0.5, abs=0.002)
    assert float(status.values["real-time factor"]) == pytest.approx((100 * 0.1 + 20 * 0.2) / 120 / 0.5, abs=0.01)


def test_dropped_windows_are_said_with_a_hop_that_would_do(clock):
    work = Work(4.0, clock.ns, clock)
    for _ in range(6):
        work_on(work, clock, 1, hop_s=0.25, busy_s=0.7)
        work_on(work, clock, 2, hop_s=0.25, drop=True)
    status = work.status()
    assert status.level == WARN
    assert "windows are left out, 12 within 10 s" in status.sentence
    assert "set a longer hop of 0.85 s or more" in status.sentence
    assert status.values["windows dropped"] == "12"
    clock.now_s += RECENT_S
    assert work.status().level == OK


def test_stamps_of_another_clock_give_no_latency(clock):
    work = Work(4.0, lambda: clock.ns() + 3600 * SECOND, clock)
    work_on(work, clock, 3)
    assert "another clock" in work.status().values["latency"]


def test_a_node_that_does_not_know_the_window_gives_no_latency(clock):
    work = Work(None, clock.ns, clock)
    work_on(work, clock, 3)
    assert not any("latency" in name for name in work.status().values)


def test_old_windows_are_forgotten(clock):
    work = Work(4.0, clock.ns, clock)
    work_on(work, clock, 3)
    clock.now_s += LATENCY_S + 1
    status = work.status()
    assert status.sentence == "no window has come within a minute"
    assert status.values["real-time factor"] == status.values["latency, median [s]"] == "unknown"
    assert status.values["windows done"] == "3"
