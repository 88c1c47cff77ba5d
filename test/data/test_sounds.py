"""Sounds fetched from packages: what is cut, what is said when something is missing, and going on after a stop."""

import hashlib
import shutil
import subprocess

import numpy as np
import pytest
import soundfile

from seld_overlap_ros.data.cutting import RATE, WINDOW_S, SilentError, cut_clip, resample, trim_silence
from seld_overlap_ros.data.fetch import fetch_sounds
from seld_overlap_ros.data.packages import PackageError, download_package, extract_files, find_package
from seld_overlap_ros.data.sounds import Index, SoundsError, load_clips, load_noise, series_in_training
from seld_overlap_ros.data.sources import read_manifest

HIGH, LOW = "ding/usr/share/ding/high.wav", "ding/usr/share/ding/low.wav"


@pytest.fixture()
def two_clips(manifest, row) -> dict[str, list]:
    """A manifest of one bell and one gong, in train and test, and one noise."""
    manifest["sounds"] += [row("ding", HIGH), row("ding", LOW, "gong", "test")]
    manifest["noise"] += [{"kind": "machine", "package": "ding", "source": LOW, "duration": "0.5", "split": "train",
                           "licence": "CC0", "sha256": ""}]  # fmt: skip
    return manifest


def test_clips_are_16_khz_mono_at_full_scale(debs, two_clips, tmp_path):
    report = fetch_sounds(tmp_path / "out", packages_folder=debs)
    assert (report.ready, report.total, report.missing, report.changed) == (3, 3, {}, [])
    clips = {clip.label: clip for clip in load_clips(tmp_path / "out")}
    labels = {(c.label, c.split, c.licence) for c in clips.values()}
    assert labels == {("bell", "train", "CC0"), ("gong", "test", "CC0")}
    for clip, pitch in ((clips["bell"], 2000), (clips["gong"], 400)):
        spectrum = np.abs(np.fft.rfft(clip.samples))
        assert np.argmax(spectrum) * RATE / len(clip.samples) == pytest.approx(pitch, abs=4)
        assert np.abs(clip.samples).max() == 1 and len(clip.samples) == pytest.approx(0.5 * RATE, abs=0.03 * RATE)
    (noise,) = load_noise(tmp_path / "out", "train")
    assert noise.kind == "machine" and noise.source == LOW


def test_only_the_asked_split_and_classes_are_loaded(debs, two_clips, tmp_path):
    two_clips["sounds"][0]["split_by_group"] = ""
    fetch_sounds(tmp_path, packages_folder=debs)
    assert [c.label for c in load_clips(tmp_path, "test")] == ["gong"]
    assert [c.label for c in load_clips(tmp_path, classes=["bell"])] == ["bell"]
    assert [c.label for c in load_clips(tmp_path, by_group=True)] == ["gong"]


def test_a_series_is_known_to_training_if_it_holds_another_take_of_the_class(tmp_path):
    (tmp_path / "sounds.csv").write_text(
        "class,source,split,group\nbell,a,train,tower\nbell,b,test,tower\nbell,c,test,door\ngong,d,test,tower\n"
        "bell,e,train,\nbell,f,test,\n")
    heard = series_in_training(tmp_path)
    assert {source: heard[source] for source in "bcdf"} == {"b": True, "c": False, "d": False, "f": False}


def test_started_again_it_goes_on(debs, two_clips, row, tmp_path):
    fetch_sounds(tmp_path / "out", packages_folder=debs)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.flac")}
    two_clips["sounds"].append(row("ding", HIGH + " @0.1s"))
    assert fetch_sounds(tmp_path / "out", packages_folder=debs).ready == 4
    after = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.flac")}
    assert len(after) == 4 and before.items() < after.items()


def test_clips_are_listed_alike_whatever_came_first(debs, two_clips, row, tmp_path):
    """As mixtures are drawn by it; what a user has imported comes last."""
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    fetch_sounds(whole, packages_folder=debs)
    index = Index(parts, "sounds")
    index.add(row("", "mine/bell/0.wav"), np.ones(100, np.int16))
    index.save()
    fetch_sounds(parts, classes=["gong"], packages_folder=debs)
    fetch_sounds(parts, packages_folder=debs)
    own, packaged = (list(Index(folder, "sounds").rows) for folder in (parts, whole))
    assert packaged == [HIGH, LOW] and own == [*packaged, "mine/bell/0.wav"]


def test_a_lost_file_is_cut_again(debs, two_clips, tmp_path):
    fetch_sounds(tmp_path / "out", packages_folder=debs)
    lost = next((tmp_path / "out" / "sounds" / "gong").iterdir())
    lost.unlink()
    with pytest.raises(SoundsError, match="delete it and run"):
        load_clips(tmp_path / "out")
    assert fetch_sounds(tmp_path / "out", packages_folder=debs).ready == 3 and lost.exists()


def test_finished_folder_needs_no_package(debs, two_clips, tmp_path):
    fetch_sounds(tmp_path / "out", packages_folder=debs)
    shutil.rmtree(debs)
    assert fetch_sounds(tmp_path / "out", packages_folder=debs).missing == {}


def test_a_mended_label_moves_the_clip_and_a_dropped_row_goes(debs, two_clips, tmp_path):
    fetch_sounds(tmp_path / "out", packages_folder=debs)
    two_clips["sounds"].pop(0)
    two_clips["sounds"][0]["class"] = "tom"
    fetch_sounds(tmp_path / "out", packages_folder=debs)
    assert [c.label for c in load_clips(tmp_path / "out")] == ["tom"]


def test_a_clip_that_moves_to_another_split_moves_without_being_cut_again(debs, two_clips, tmp_path):
    fetch_sounds(tmp_path / "out", packages_folder=debs)
    two_clips["sounds"][0]["split"] = "val"
    fetch_sounds(tmp_path / "out", packages_folder=debs)
    assert [clip.source for clip in load_clips(tmp_path / "out", "val")] == [two_clips["sounds"][0]["source"]]


def test_other_samples_than_the_manifest_says_are_reported(debs, two_clips, tmp_path):
    fetch_sounds(tmp_path / "a", packages_folder=debs)
    pcm, _ = soundfile.read(next((tmp_path / "a/sounds/bell").iterdir()), dtype="int16")
    two_clips["sounds"][0]["sha256"] = hashlib.sha256(pcm.tobytes()).hexdigest()
    two_clips["sounds"][1]["sha256"] = "0" * 64
    report = fetch_sounds(tmp_path / "b", packages_folder=debs)
    assert report.changed == [LOW] and report.ready == 3
    assert fetch_sounds(tmp_path / "b", packages_folder=debs).changed == []  # cut already: said once


def test_missing_and_damaged_sources_are_named_and_the_others_made(debs, two_clips, row, tmp_path):
    gone, text = "ding/usr/share/ding/gone.wav", "ding/usr/share/ding/text.ogg"
    two_clips["sounds"] += [row("ding", gone), row("ding", text)]
    report = fetch_sounds(tmp_path / "out", packages_folder=debs)
    assert report.ready == 3 and set(report.missing) == {gone, text}
    assert report.missing[gone] == "ding holds no usr/share/ding/gone.wav in this version."
    assert "text.ogg cannot be decoded" in report.missing[text]


def test_package_that_is_not_to_be_had_is_named_and_the_others_made(debs, two_clips, row, tmp_path, apt):
    two_clips["sounds"].append(row("dong", "dong/usr/share/dong.wav"))
    report = fetch_sounds(tmp_path / "out", packages_folder=debs)
    assert report.ready == 3
    assert report.missing == {"dong": "package dong is unknown to apt here; run `apt-get update`, or get its .deb from "
                                      "Debian 12 by hand."}  # fmt: skip


def test_nothing_at_all_is_an_error(manifest, row, tmp_path, apt):
    manifest["sounds"].append(row("dong", "dong/usr/share/dong.wav"))
    with pytest.raises(SoundsError, match="no clip could be made: package dong is unknown"):
        fetch_sounds(tmp_path)


@pytest.fixture()
def apt(monkeypatch):
    """An apt-get that knows no package."""
    answer = subprocess.CompletedProcess([], 100, "", "E: Unable to locate package dong\n")
    monkeypatch.setattr("shutil.which", lambda tool: f"/usr/bin/{tool}")
    run = subprocess.run
    monkeypatch.setattr("subprocess.run", lambda cmd, **k: answer if cmd[0] == "apt-get" else run(cmd, **k))


def test_no_network_is_said_with_what_apt_says(monkeypatch, tmp_path):
    answer = subprocess.CompletedProcess([], 100, "", "Err:1\nE: Failed to fetch http://deb: no route\n")
    monkeypatch.setattr("shutil.which", lambda tool: f"/usr/bin/{tool}")
    monkeypatch.setattr("subprocess.run", lambda *_, **__: answer)
    with pytest.raises(PackageError, match=r"ding could not be downloaded \(E: Failed to fetch .*check the network"):
        download_package("ding", tmp_path)


def test_no_apt_is_said(monkeypatch, tmp_path):
    monkeypatch.setattr("shutil.which", lambda tool: None)
    with pytest.raises(PackageError, match="apt-get is not on this machine; use Debian or Ubuntu"):
        download_package("ding", tmp_path)


def test_a_download_that_was_cut_off_is_not_taken_for_a_package(monkeypatch, tmp_path):
    def download(command, cwd, **_):
        assert find_package("ding", tmp_path) is None  # until it is whole
        assert not list(cwd.iterdir())  # nothing of an earlier one
        (cwd / "ding_1_all.deb").write_bytes(b"whole")
        return subprocess.CompletedProcess([], 0, "", "")

    (tmp_path / "unfinished").mkdir()
    (tmp_path / "unfinished" / "ding_1_all.deb").write_bytes(b"wh")
    monkeypatch.setattr("shutil.which", lambda tool: f"/usr/bin/{tool}")
    monkeypatch.setattr("subprocess.run", download)
    assert download_package("ding", tmp_path).read_bytes() == b"whole"
    assert [path.name for path in tmp_path.iterdir()] == ["ding_1_all.deb"]


@pytest.mark.parametrize("share", [0.0, 0.3, 0.8])
def test_damaged_package_is_one_sentence(debs, tmp_path, share):
    deb = debs / "ding_1_all.deb"
    content = deb.read_bytes()
    deb.write_bytes(content[: round(share * len(content))])
    with pytest.raises(PackageError, match="ding_1_all.deb is damaged .* delete it and run the command again"):
        extract_files(deb, {"usr/share/ding/high.wav", "usr/share/ding/low.wav"}, tmp_path / "x")


def test_unknown_class_is_named(two_clips, tmp_path):
    with pytest.raises(SoundsError, match="no class is called dodo, unicorn"):
        fetch_sounds(tmp_path, classes=["unicorn", "bell", "dodo"])


def test_empty_folder_says_how_to_fill_it(tmp_path):
    with pytest.raises(SoundsError, match="run `seld-overlap data sounds`"):
        load_clips(tmp_path)


def test_silence_around_a_sound_is_trimmed(tone):
    quiet = np.zeros(RATE, np.float32)
    trimmed = trim_silence(np.concatenate([quiet + 0.2, tone(1000) + 0.2, quiet + 0.2]))  # an offset is no sound
    assert len(trimmed) == pytest.approx(0.5 * RATE, abs=0.06 * RATE)


@pytest.mark.parametrize("rate", [8000, 22050, 48000])
def test_any_rate_becomes_16_khz(tone, rate):
    assert len(resample(tone(300, 1.0, rate), rate)) == pytest.approx(RATE, abs=1)


def test_a_clip_is_at_most_one_window_long():
    hum = np.sin(np.arange(20 * RATE) / 10).astype(np.float32)
    assert len(cut_clip(hum, RATE)) == round(WINDOW_S * RATE)


@pytest.mark.parametrize("samples", [np.zeros(1000), np.full(1000, np.nan), np.zeros(0)], ids=["zeros", "nan", "empty"])
def test_a_silent_or_broken_recording_is_refused(samples):
    with pytest.raises(SilentError, match="nothing sounds"):
        cut_clip(samples.astype(np.float32), RATE)


def test_manifest_names_every_source_once_with_its_digest_and_no_unit_lies_in_two_splits():
    rows = read_manifest("sounds")
    assert all(len(r["sha256"]) == 64 for r in rows)
    assert len({r["source"] for r in rows}) == len(rows) and len({r["class"] for r in rows}) == 75
    assert {r["split"] for r in rows} - {""} == {"train", "val", "test"}
    assert sum(r["split"] == "train" for r in rows) >= 5000
    for unit, column in (("source_id", "split"), ("group", "split_by_group")):
        # within a class: one speaker's name stands for a man and a woman, one kit for several drums
        splits = {(r["class"], r[unit], r[column]) for r in rows if r[column]}
        assert len(splits) == len({(r["class"], r[unit]) for r in rows if r[column]})
