"""Notes of sampled instruments: pitch, loop, envelope and choice of sample, from a patch and a font made here."""

import struct

import numpy as np
import pytest

from seld_overlap_ros.data.instruments import Envelope, InstrumentError, Sample, play, read_patch
from seld_overlap_ros.data.soundfonts import SoundFont
from seld_overlap_ros.data.sources import PackageSources, file_in_package

RATE = 16000
CYCLE = 40  # samples a period: 400 Hz


def wave(cycles: int) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * np.arange(cycles * CYCLE) / CYCLE)).astype(np.float32)


def pitch(samples: np.ndarray, rate: int = RATE) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)), 8 * len(samples)))
    return np.argmax(spectrum) * rate / (8 * len(samples))


@pytest.mark.parametrize("semitones", [0, 12, -12, 3])
def test_a_note_has_its_pitch_and_length(semitones):
    note = play(Sample("a", wave(80), RATE, loop=(400, 2400)), semitones, Envelope(), 0.5)
    assert len(note) == pytest.approx(0.5 * RATE, abs=2)
    assert pitch(note[1000:5000]) == pytest.approx(400 * 2 ** (semitones / 12), rel=0.01)


def test_a_loop_goes_on_without_a_seam():
    note = play(Sample("a", wave(20), RATE, loop=(400, 800)), 0, Envelope(), 1.0)
    period = note[800:8000].reshape(-1, CYCLE)
    np.testing.assert_allclose(period, np.tile(period[0], (len(period), 1)), atol=1e-6)


def test_a_sample_without_loop_ends_by_itself():
    assert len(play(Sample("a", wave(20), RATE), 0, Envelope(), 3.0)) == 800


def test_envelope_rises_decays_holds_and_is_let_go():
    gain = Envelope(attack_s=0.1, decay_s=1.0, sustain_db=20, release_s=0.5).gain(RATE, RATE, 0.8)
    at = lambda time: 20 * np.log10(gain[round(time * RATE)])  # noqa: E731
    assert gain[0] == 0 and gain[round(0.05 * RATE)] == pytest.approx(0.5, abs=0.01)
    assert at(0.2) == pytest.approx(-10, abs=0.1) and at(0.5) == at(0.79) == pytest.approx(-20, abs=0.1)
    assert at(0.9) == pytest.approx(-40, abs=0.2)


def patch_file(modes: int, body: bytes, loop: tuple[int, int] = (0, 0), count: int = 1) -> bytes:
    head = b"GF1PATCH110\0".ljust(198, b"\0") + bytes([count])
    sample = struct.pack("<7sB3IH", b"tone", 0, len(body), *loop, RATE).ljust(55, b"\0") + bytes([modes])
    return head.ljust(239, b"\0") + (sample.ljust(96, b"\0") + body) * count


@pytest.mark.parametrize("modes, scale, dtype", [(1, 32768, "<i2"), (0, 128, "i1")], ids=["16 bit", "8 bit"])
@pytest.mark.parametrize("unsigned", [0, 2])
def test_patch_samples_of_each_kind(tmp_path, modes, scale, dtype, unsigned):
    pcm = np.round(wave(10) * (scale - 1)).astype(dtype)
    if unsigned:
        pcm = (pcm.astype(int) + scale).astype(dtype.replace("i", "u"))
    (tmp_path / "x.pat").write_bytes(patch_file(modes | unsigned, pcm.tobytes(), count=2))
    first, second = read_patch(tmp_path / "x.pat")
    np.testing.assert_allclose(first.samples, wave(10), atol=2 / scale)
    np.testing.assert_array_equal(first.samples, second.samples)
    assert (first.name, first.rate, first.loop) == ("tone", RATE, None)


def test_patch_loop_and_direction(tmp_path):
    pcm = np.round(wave(10) * 32767).astype("<i2")
    (tmp_path / "x.pat").write_bytes(patch_file(1 | 4 | 8 | 16, pcm.tobytes(), loop=(80, 640)))
    (sample,) = read_patch(tmp_path / "x.pat")
    assert sample.loop == (40, 320) and sample.ping_pong
    np.testing.assert_allclose(sample.samples[::-1], wave(10), atol=1e-4)


def test_manifest_row_of_a_patch_is_played_at_its_shift(tmp_path, row):
    pcm = np.round(wave(80) * 32767).astype("<i2")
    (tmp_path / "x.pat").write_bytes(patch_file(1 | 4, pcm.tobytes(), loop=(800, 4800)))
    wanted = row("freepats", "freepats/usr/x.pat sample 0 tone +12st", duration="0.4")
    samples, rate = PackageSources("freepats", {file_in_package(wanted): tmp_path / "x.pat"}).read(wanted)
    assert rate == RATE and len(samples) == pytest.approx(0.4 * RATE, abs=2)
    assert pitch(samples[1000:5000]) == pytest.approx(800, rel=0.01)


def test_patch_without_the_sample_is_named(tmp_path, row):
    (tmp_path / "x.pat").write_bytes(patch_file(1, bytes(100)))
    wanted = row("freepats", "freepats/usr/x.pat sample 7 tone")
    with pytest.raises(InstrumentError, match="x.pat holds no sample 7"):
        PackageSources("freepats", {"usr/x.pat": tmp_path / "x.pat"}).read(wanted)


@pytest.mark.parametrize("content, reason", [(b"RIFF", "no GUS patch"), (patch_file(1, bytes(1000))[:-500], "damaged")])
def test_bad_patch_is_refused(tmp_path, content, reason):
    (tmp_path / "x.pat").write_bytes(content)
    with pytest.raises(InstrumentError, match=f"x.pat is .*{reason}"):
        read_patch(tmp_path / "x.pat")


def chunk(name: bytes, data: bytes) -> bytes:
    return name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)


def bags(*zones: list[tuple[int, int]]) -> tuple[bytes, bytes]:
    """Bag and generator tables of zones, with their closing entries."""
    starts = np.cumsum([0, *(len(zone) for zone in zones)])
    table = b"".join(struct.pack("<2H", start, 0) for start in starts)
    return table, b"".join(struct.pack("<2H", *g) for zone in zones for g in zone) + bytes(4)


def span(low: int, high: int) -> int:
    return low | high << 8


@pytest.fixture()
def font_file(tmp_path):
    """Preset 5 of bank 0: `low` up to key 59, `soft` and `loud` above by velocity; roots at keys 48 and 72."""
    pcm = [np.round(np.pad(w, (0, 46)) * 32767).astype("<i2") for w in (wave(80), wave(60), wave(40))]
    edges = np.cumsum([0, *(len(x) for x in pcm)])
    heads = b"".join(
        struct.pack("<20s5I2B2H", name, start, end - 46, start + 400, end - 46, RATE, root, 0, 0, 1)
        for name, start, end, root in zip((b"low", b"soft", b"loud"), edges[:-1], edges[1:], (48, 72, 72), strict=True)
    )
    keys, velocities, modes, sample, instrument = 43, 44, 54, 53, 41
    ibag, igen = bags(
        [(modes, 1)],  # the global zone: all loop
        [(keys, span(0, 59)), (sample, 0)],
        [(keys, span(60, 127)), (velocities, span(0, 63)), (sample, 1)],
        [(keys, span(60, 127)), (velocities, span(64, 127)), (51, 12), (sample, 2)],  # an octave up
    )
    pbag, pgen = bags([(keys, span(0, 100)), (instrument, 0)])
    phdr = b"".join(struct.pack("<20s3H12x", b"name", 5, 0, bag) for bag in (0, 1))
    inst = b"".join(struct.pack("<20sH", b"name", bag) for bag in (0, 4))
    tables = (phdr, pbag, pgen, inst, ibag, igen, heads + bytes(46))
    names = (b"phdr", b"pbag", b"pgen", b"inst", b"ibag", b"igen", b"shdr")
    pdta = b"pdta" + b"".join(chunk(name, data) for name, data in zip(names, tables, strict=True))
    sdta = b"sdta" + chunk(b"smpl", b"".join(x.tobytes() for x in pcm))
    path = tmp_path / "x.sf2"
    path.write_bytes(chunk(b"RIFF", b"sfbk" + chunk(b"LIST", sdta) + chunk(b"LIST", pdta)))
    return path


@pytest.mark.parametrize(
    "note, velocity, name, hertz",
    [(48, 100, "low", 400), (59, 1, "low", 755.1), (72, 20, "soft", 400), (60, 63, "soft", 200), (72, 64, "loud", 800)],
)
def test_key_and_velocity_choose_the_sample_and_its_pitch(font_file, note, velocity, name, hertz):
    font = SoundFont(font_file)
    (zone,) = [zone for zone in font.zones(0, 5) if zone.sounds(note, velocity)]
    assert font.sample_name(zone.sample) == name
    samples, rate = font.play(zone, note, 0.5)
    assert pitch(samples[1000:6000], rate) == pytest.approx(hertz, rel=0.01)


def test_a_preset_narrows_what_its_instrument_sounds(font_file):
    font = SoundFont(font_file)
    assert not any(zone.sounds(101, 100) for zone in font.zones(0, 5))


def test_missing_preset_and_note_are_named(font_file, row):
    with pytest.raises(InstrumentError, match="x.sf2 has no preset 6 in bank 0"):
        SoundFont(font_file).zones(0, 6)
    wanted = row("fluid-soundfont-gm", "bank 0 prog 5 note 72 vel 20 sample loud")
    with pytest.raises(InstrumentError, match="x.sf2 has no zone for bank 0 prog 5 note 72 vel 20 sample loud"):
        PackageSources("fluid-soundfont-gm", {file_in_package(wanted): font_file}).read(wanted)


@pytest.mark.parametrize("content, reason", [(b"GF1PATCH", "no SoundFont 2"), (b"RIFF\0\0\0\0sfbk", "damaged")])
def test_bad_font_is_refused(tmp_path, content, reason):
    (tmp_path / "x.sf2").write_bytes(content)
    with pytest.raises(InstrumentError, match=f"x.sf2 is .*{reason}"):
        SoundFont(tmp_path / "x.sf2")


def test_cut_off_font_is_refused(font_file):
    font_file.write_bytes(font_file.read_bytes()[:3000])
    with pytest.raises(InstrumentError, match=r"x.sf2 is damaged"):
        SoundFont(font_file)
