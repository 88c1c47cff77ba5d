"""Recorded scenes in DCASE's layout: frames become events, and the truth lies beside the sound."""

import json

import numpy as np
import pytest
import soundfile

from seld_overlap_ros.data.corpora import import_corpus
from seld_overlap_ros.data.layouts import CorpusError
from seld_overlap_ros.data.recorded import Label, events, read_labels
from seld_overlap_ros.evaluation.truth import load_truth

RATE = 24000


@pytest.fixture()
def starss(tmp_path, write_sound):
    """A 2 s recording of four microphones, with two sounds of which one is interrupted; and leftovers."""
    folder = tmp_path / "STARSS"
    samples = np.random.default_rng(0).uniform(-0.2, 0.2, (2 * RATE, 4))
    write_sound(folder / "mic_dev" / "dev-test" / "room1.wav", samples, RATE)
    write_sound(folder / "mic_dev" / "dev-test" / "unlabelled.flac", samples, RATE)
    lines = [f"{frame},1,0,{179 if frame % 2 else -179},10" for frame in range(3, 8)]
    lines += [f"{frame},0,1,-30,0,150" for frame in (2, 3, 10)]
    labels = folder / "metadata_dev" / "dev-test"
    labels.mkdir(parents=True)
    (labels / "room1.csv").write_text("\n".join(lines) + "\n")
    (labels / "lost.csv").write_text("0,0,0,0,0\n")
    (folder / "classes.txt").write_text("Female speech\nDoor, open\n")
    return folder


def test_scene_and_its_truth(starss, tmp_path):
    report = import_corpus("dcase", starss, tmp_path / "out", licence="MIT")
    path = tmp_path / "out" / "mic_dev_dev-test_room1.flac"
    samples, rate = soundfile.read(path)
    original, _ = soundfile.read(starss / "mic_dev" / "dev-test" / "room1.wav")
    assert rate == RATE
    np.testing.assert_allclose(samples, original, atol=1e-4)
    found = json.loads(path.with_suffix(".json").read_text())["events"]
    assert [(e["label"], e["onset_s"], e["duration_s"], e["elevation_deg"]) for e in found] == [
        ("female_speech", 0.2, 0.2, 0.0), ("door_open", 0.3, 0.5, 10.0), ("female_speech", 1.0, 0.1, 0.0),
    ]  # fmt: skip
    assert abs(abs(found[1]["azimuth_deg"]) - 180) <= 1 and found[0]["azimuth_deg"] == -30
    assert [e["id"] for e in found] == [1, 2, 3] and {e["licence"] for e in found} == {"MIT"}
    assert load_truth(path.with_suffix(".json")).in_words() == "3 sounds of 2 classes, recorded."
    assert report.taken == 1 and "1 scenes of 2 classes" in report.summary()
    assert sorted(report.skipped) == [
        "lost.csv: has no recording (lost.wav).", "unlabelled.flac: has no labels (unlabelled.csv).",
    ]  # fmt: skip


def test_a_class_without_a_name_keeps_its_number(starss, tmp_path):
    (starss / "classes.txt").write_text("Female speech\n\nTelephone\n")
    import_corpus("dcase", starss, tmp_path / "out")
    found = json.loads((tmp_path / "out" / "mic_dev_dev-test_room1.json").read_text())["events"]
    assert {event["label"] for event in found} == {"female_speech", "class_1"}


def test_class_names_in_another_encoding_are_put_down_to_their_own_file(starss, tmp_path):
    (starss / "classes.txt").write_bytes(b"caf\xe9\n")
    with pytest.raises(ValueError, match=r"classes.txt is no text in UTF-8 \(.*: save it as that"):
        import_corpus("dcase", starss, tmp_path / "out")


def test_labels_of_one_name_in_two_places_are_refused(starss, tmp_path):
    (starss / "2022").mkdir()
    (starss / "2022" / "room1.csv").write_text("0,0,0,0,0\n")
    with pytest.raises(CorpusError, match=r"holds room1.csv twice; import one data set at a time"):
        import_corpus("dcase", starss, tmp_path / "out")


@pytest.mark.parametrize("other", ["foa_dev/dev-test/room1.wav", "mic_dev/dev-test/room1.flac"])
def test_recordings_of_one_name_are_refused(starss, tmp_path, write_sound, other):
    write_sound(starss / other, np.zeros((RATE, 4)), RATE)
    with pytest.raises(CorpusError, match="holds room1 twice, .* and .*: leave only one of them there"):
        import_corpus("dcase", starss, tmp_path / "out")


def test_a_source_that_moves_becomes_several_events():
    found = events(Label(frame, 0, 0, 3.0 * frame, 0.0) for frame in range(8))
    assert [len(lines) for lines in found] == [4, 4]


def test_two_tracks_of_one_class_are_two_events():
    assert len(events([Label(0, 2, 0, 0, 0), Label(1, 2, 0, 0, 0), Label(0, 2, 1, 0, 0)])) == 2


def test_a_head_line_and_empty_lines_are_no_labels(tmp_path):
    (tmp_path / "a.csv").write_text("frame,class,track,azimuth,elevation\n\n4,1,0,-20,5\n")
    assert read_labels(tmp_path / "a.csv") == [Label(4, 1, 0, -20.0, 5.0)]


def test_a_byte_order_mark_is_no_label(tmp_path):
    (tmp_path / "a.csv").write_text("0,1,0,-20,5\n", encoding="utf-8-sig")
    assert read_labels(tmp_path / "a.csv") == [Label(0, 1, 0, -20.0, 5.0)]


def test_a_first_line_that_is_mistyped_is_no_head(tmp_path):
    (tmp_path / "a.csv").write_text("O,1,0,-20,5\n1,1,0,-20,5\n")
    with pytest.raises(ValueError, match="line 1 of a.csv"):
        read_labels(tmp_path / "a.csv")


@pytest.mark.parametrize("line", ["4,1", "4,dog,0,1,2", "-4,1,0,1,2", "4,1,0,nan,2"])
def test_a_bad_line_is_named(tmp_path, line):
    (tmp_path / "a.csv").write_text(f"1,1,0,1,2\n{line}\n")
    with pytest.raises(ValueError, match="line 2 of a.csv"):
        read_labels(tmp_path / "a.csv")


@pytest.mark.parametrize("content", [bytes(200000), b"\xff\xfe0,1"], ids=["zeros", "another encoding"])
def test_a_file_that_is_no_csv_is_named_and_the_others_taken(starss, tmp_path, write_sound, content):
    write_sound(starss / "mic_dev" / "dev-test" / "lost.wav", np.zeros((RATE, 4)), RATE)
    (starss / "metadata_dev" / "dev-test" / "lost.csv").write_bytes(content)
    report = import_corpus("dcase", starss, tmp_path / "out")
    assert report.taken == 1 and any("lost.csv is no CSV of labels" in sentence for sentence in report.skipped)


@pytest.mark.parametrize("channels, reason", [(1, "has one channel only"), (9, "has 9 channels")])
def test_recordings_that_cannot_be_used_are_named(starss, tmp_path, write_sound, channels, reason):
    write_sound(starss / "mic_dev" / "dev-test" / "room1.wav", np.zeros((RATE, channels)), RATE)
    report = import_corpus("dcase", starss, tmp_path / "out")
    assert report.taken == 0 and any(f"room1.wav: {reason}" in sentence for sentence in report.skipped)
