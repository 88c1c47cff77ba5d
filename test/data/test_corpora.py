"""Collections of the user's own: each layout from a tiny sample made here, bad files named, splits that stay."""

import json
import os
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from seld_overlap_ros.cli import app
from seld_overlap_ros.data.corpora import import_corpus
from seld_overlap_ros.data.layouts import CorpusError, class_name, draw_splits, licence_name
from seld_overlap_ros.data.sounds import SoundsError, alone, load_clips, load_noise

CLASSES = ("Dog bark", "cat", "door_bell", "Rain", "tap")


@pytest.fixture()
def own(tmp_path, tone, write_sound):
    """Five classes of six files, and three background noises."""
    folder = tmp_path / "mine"
    for number, label in enumerate(CLASSES):
        for take in range(6):
            write_sound(folder / label / f"take{take}.wav", tone(300 * (number + 1) + 20 * take, 0.2))
    for room in ("hall", "street", "kitchen"):
        write_sound(folder / "noise" / f"{room}.flac", np.random.default_rng(0).uniform(-0.1, 0.1, 16000))
    return folder


def table(path, lines: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(lines)


def test_folder_per_class_becomes_clips_of_each_split_and_noise(own, tmp_path):
    report = import_corpus("folder", own, tmp_path / "sounds", licence="CC0")
    clips = load_clips(tmp_path / "sounds")
    assert len(clips) == report.taken == 30 and report.skipped == []
    assert {clip.label for clip in clips} == {"dog_bark", "cat", "door_bell", "rain", "tap"}
    for label in {clip.label for clip in clips}:
        assert {clip.split for clip in clips if clip.label == label} == {"train", "val", "test"}
    assert {clip.licence for clip in clips} == {"CC0"} and clips[0].source.startswith("mine/")
    assert len(load_noise(tmp_path / "sounds", "train")) == 2 and len(load_noise(tmp_path / "sounds", "test")) == 1
    assert 'labels: ["cat", "dog_bark", "door_bell", "rain", "tap"]' in report.summary()
    assert "Missing" not in report.summary()


def test_splits_by_folder_are_kept(tmp_path, tone, write_sound):
    for split in ("train", "valid", "Test"):
        write_sound(tmp_path / "mine" / split / "cat" / f"{split}.wav", tone(500))
    import_corpus("folder", tmp_path / "mine", tmp_path / "sounds")
    found = {(clip.source, clip.split) for clip in load_clips(tmp_path / "sounds")}
    assert found == {("mine/train/cat/train.wav", "train"), ("mine/valid/cat/valid.wav", "val"),
                     ("mine/Test/cat/Test.wav", "test")}  # fmt: skip


def test_drawn_splits_have_their_shares_and_stay_when_files_come():
    names = [f"{n}.wav" for n in range(1000)]
    splits = draw_splits(names)
    counts = [sum(split == wanted for split in splits.values()) for wanted in ("train", "val", "test")]
    assert counts == pytest.approx([600, 200, 200], abs=40)
    more = draw_splits([*names, *(f"more{n}.wav" for n in range(500))])
    assert all(more[name] == splits[name] for name in names)


@pytest.mark.parametrize("n", range(3, 12))
def test_three_files_are_enough_for_three_splits(n):
    for seed in range(50):
        assert set(draw_splits(f"{seed}-{k}" for k in range(n)).values()) == {"train", "val", "test"}


def test_takes_of_one_series_stay_together_by_group(own, tmp_path, tone, write_sound):
    for name in ("near", "far", "roof"):
        for take in range(3):
            write_sound(own / "Rain" / f"{name}_{take:02d}.wav", tone(700 + take))
    import_corpus("folder", own, tmp_path / "sounds")
    rain = [clip for clip in load_clips(tmp_path / "sounds", by_group=True) if clip.label == "rain"]
    assert len({(clip.group, clip.split) for clip in rain}) == len({clip.group for clip in rain}) == 4


def test_takes_that_fall_into_several_splits_are_said(tmp_path, tone, write_sound):
    for piece in range(20):
        write_sound(tmp_path / "mine" / "fan" / f"fan_{piece:03}.wav", tone(300 + piece, 0.2))
    said = import_corpus("folder", tmp_path / "mine", tmp_path / "sounds").summary()
    assert "in several splits (fan/fan)" in said and "train/CLASS, val/CLASS and test/CLASS" in said


def test_recordings_in_folders_of_their_own_are_told_apart_and_stay_together_by_group(tmp_path, tone, write_sound):
    for session in range(12):
        for take in range(2):
            file = tmp_path / "mine" / "cat" / f"day{session}" / f"{take}.wav"
            write_sound(file, tone(300 + 20 * session + take, 0.2))
    import_corpus("folder", tmp_path / "mine", tmp_path / "sounds")
    assert {clip.split for clip in load_clips(tmp_path / "sounds")} == {"train", "val", "test"}
    by_group = load_clips(tmp_path / "sounds", by_group=True)
    splits = {session: {clip.split for clip in by_group if f"/day{session}/" in clip.source} for session in range(12)}
    assert all(len(its) == 1 for its in splits.values()) and set.union(*splits.values()) == {"train", "val", "test"}


def test_a_recording_that_is_there_under_another_name_in_another_split_is_said(own, tmp_path, write_sound, tone):
    import_corpus("folder", own, tmp_path / "sounds")
    clip = next(clip for clip in load_clips(tmp_path / "sounds") if clip.split == "train")
    copy = tmp_path / "sorted" / "test" / clip.label / "copy.wav"
    copy.parent.mkdir(parents=True)
    shutil.copy(own.parent / clip.source, copy)
    said = import_corpus("folder", tmp_path / "sorted", tmp_path / "sounds").summary()
    assert f"1 are in another split too, under another name (sorted/test/{clip.label}/copy.wav)" in said
    assert "another name" not in import_corpus("folder", own, tmp_path / "elsewhere").summary()


def test_one_folder_of_a_split_beside_others_is_refused_and_a_class_train_is_not(tmp_path, tone, write_sound):
    for part in ("train/cat", "testing/cat"):
        write_sound(tmp_path / "mine" / part / "a.wav", tone(500))
    with pytest.raises(CorpusError, match="holds folders in train beside other folders"):
        import_corpus("folder", tmp_path / "mine", tmp_path / "sounds")
    for label in ("train", "tram"):
        write_sound(tmp_path / "vehicles" / label / "a.wav", tone(500))
    import_corpus("folder", tmp_path / "vehicles", tmp_path / "sounds")
    assert {clip.label for clip in load_clips(tmp_path / "sounds")} == {"train", "tram"}


def test_sounds_are_not_imported_from_where_they_go(own):
    for into in (own, own / "sounds"):
        with pytest.raises(CorpusError, match="what is cut would be taken for recordings"):
            import_corpus("folder", own, into)


def test_two_commands_do_not_fill_a_folder_at_once(own, tmp_path):
    with alone(tmp_path / "sounds"), pytest.raises(SoundsError, match="another command is filling"):
        import_corpus("folder", own, tmp_path / "sounds")
    assert import_corpus("folder", own, tmp_path / "sounds").taken == 30


def test_a_clip_that_a_full_disk_cut_off_is_not_taken_for_a_whole_one(own, tmp_path, monkeypatch):
    monkeypatch.setattr(soundfile, "info", lambda path: SimpleNamespace(frames=1, samplerate=16000, duration=0.2))
    with pytest.raises(OSError, match="cannot be written whole: is the disk full"):
        import_corpus("folder", own, tmp_path / "sounds")
    assert not list((tmp_path / "sounds").rglob("*.flac"))


def test_takes_that_their_owner_sorted_are_not_said_to_be_parted(tmp_path, tone, write_sound):
    for number, split in enumerate(("train", "val", "test")):
        write_sound(tmp_path / "mine" / split / "fan" / f"fan_{number}.wav", tone(300 + number, 0.2))
    assert "several splits" not in import_corpus("folder", tmp_path / "mine", tmp_path / "sounds").summary()


def test_bad_files_are_named_and_the_others_taken(own, tmp_path, write_sound):
    (own / "cat" / "text.wav").write_text("no sound")
    write_sound(own / "cat" / "quiet.wav", np.zeros(16000))
    write_sound(own / "cat" / "empty.wav", np.zeros(0))
    write_sound(own / "noise" / "quiet.wav", np.zeros(16000))
    soundfile.write(own / "cat" / "odd.wav", np.full(16000, np.nan), 16000, subtype="FLOAT")
    (own / "notes.txt").write_text("about my sounds")
    report = import_corpus("folder", own, tmp_path / "sounds")
    assert report.taken == 30 and sorted(sentence.split(": ")[0] for sentence in report.skipped) == [
        "mine/cat/empty.wav", "mine/cat/odd.wav", "mine/cat/quiet.wav", "mine/cat/text.wav", "mine/noise/quiet.wav",
        "notes.txt",
    ]  # fmt: skip
    assert "mine/cat/odd.wav: holds samples that are no numbers; save it again." in report.skipped
    assert "mine/noise/quiet.wav: nothing sounds in its first 30 s." in report.skipped
    assert any("text.wav: cannot be read" in sentence for sentence in report.skipped)
    assert "mine/cat/quiet.wav: nothing sounds in its first 13 s." in report.skipped


def test_the_name_of_a_file_steers_no_terminal(own, tmp_path):
    (own / "cat" / "\x1b[2J.wav").write_text("no sound")
    done = CliRunner().invoke(app, ["data", "import", "folder", str(own), "--into", str(tmp_path / "sounds")])
    assert done.exit_code == 0 and "\x1b[2J" not in done.output
    assert "mine/cat/?[2J.wav: cannot be read" in done.output and len(done.output.splitlines()) > 5


def test_any_rate_channels_and_length_are_taken(tmp_path, write_sound, tone):
    stereo = np.stack([tone(500, 9.0, 44100)] * 2, axis=1) + 0.1 * np.sin(np.arange(9 * 44100) / 9)[:, None]
    write_sound(tmp_path / "mine" / "hum" / "long.ogg", stereo, 44100)
    report = import_corpus("folder", tmp_path / "mine", tmp_path / "sounds")
    (clip,) = load_clips(tmp_path / "sounds")
    assert len(clip.samples) == round(4.192 * 16000) and "1 are longer than 4.2 s" in report.summary()


def test_of_long_background_noise_the_first_half_minute_is_kept_and_that_is_said(own, tmp_path, write_sound):
    write_sound(own / "noise" / "plant.wav", np.random.default_rng(0).uniform(-0.1, 0.1, 31 * 8000), 8000)
    write_sound(own / "cat" / "long.wav", np.random.default_rng(1).uniform(-0.1, 0.1, 6 * 8000), 8000)
    summary = import_corpus("folder", own, tmp_path / "sounds").summary()
    assert ("1 are longer than 4.2 s: that much of them is kept.\n4 recordings of background noise.\n"
            "1 of them are longer than 30 s: that much is kept.") in summary
    assert max(len(noise.samples) for noise in load_noise(tmp_path / "sounds")) == 30 * 16000


def test_what_is_missing_for_training_is_said(tmp_path, write_sound, tone):
    write_sound(tmp_path / "mine" / "cat" / "a.wav", tone(500))
    summary = import_corpus("folder", tmp_path / "mine", tmp_path / "sounds").summary()
    assert "cat has no clips for test and val" in summary and "Missing: background noise" in summary


def test_imported_again_it_goes_on_and_follows_the_folder(own, tmp_path, write_sound, tone):
    import_corpus("folder", own, tmp_path / "sounds")
    made = {path: path.stat().st_mtime_ns for path in (tmp_path / "sounds").rglob("*.flac")}
    (own / "cat" / "take0.wav").unlink()
    write_sound(own / "cat" / "take9.wav", tone(950))
    assert import_corpus("folder", own, tmp_path / "sounds").taken == 30
    clips = {clip.source for clip in load_clips(tmp_path / "sounds")}
    assert "mine/cat/take0.wav" not in clips and "mine/cat/take9.wav" in clips
    assert all(path.stat().st_mtime_ns == before for path, before in made.items())


def test_a_recording_that_was_replaced_by_an_older_one_is_cut_again(own, tmp_path, write_sound, tone):
    import_corpus("folder", own, tmp_path / "sounds")
    before = {each: each.read_bytes() for each in (tmp_path / "sounds").rglob("*.flac")}
    write_sound(own / "cat" / "take0.wav", tone(960, 0.2))
    os.utime(own / "cat" / "take0.wav", (0, 0))
    import_corpus("folder", own, tmp_path / "sounds")
    assert sum(each.read_bytes() != content for each, content in before.items()) == 1


def test_a_table_that_is_cut_off_is_refused(tmp_path):
    table(tmp_path / "meta" / "esc50.csv", "filename,fold,category,esc10,src_file\na.wav,1,dog,True,9\nb.wav,1\n")
    with pytest.raises(CorpusError, match=r"line 3 of .*esc50.csv is cut off"):
        import_corpus("esc50", tmp_path, tmp_path / "sounds")


@pytest.mark.parametrize("content", [b"filename\n" + bytes(200000), b"\xff\xfef"], ids=["zeros", "another encoding"])
def test_a_table_that_is_none_is_refused(tmp_path, content):
    table(tmp_path / "meta" / "esc50.csv", "")
    (tmp_path / "meta" / "esc50.csv").write_bytes(content)
    with pytest.raises(CorpusError, match=r"esc50.csv is no CSV \(.*take the data set's own file"):
        import_corpus("esc50", tmp_path, tmp_path / "sounds")


def test_collections_lie_side_by_side(own, tmp_path, write_sound, tone):
    import_corpus("folder", own, tmp_path / "sounds")
    write_sound(tmp_path / "other" / "cat" / "a.wav", tone(500))
    import_corpus("folder", tmp_path / "other", tmp_path / "sounds")
    assert len(load_clips(tmp_path / "sounds")) == 31


def test_clips_of_another_collection_are_not_missing(own, tmp_path, write_sound, tone):
    import_corpus("folder", own, tmp_path / "sounds")
    write_sound(tmp_path / "other" / "cat" / "a.wav", tone(500))
    write_sound(tmp_path / "other" / "owl" / "a.wav", tone(600))
    summary = import_corpus("folder", tmp_path / "other", tmp_path / "sounds").summary()
    assert "owl has no clips for test and val" in summary and "cat has no clips" not in summary


def test_another_folder_of_the_same_name_is_refused(own, tmp_path, write_sound, tone):
    import_corpus("folder", own, tmp_path / "sounds")
    write_sound(tmp_path / "day2" / own.name / "cat" / "take0.wav", tone(500))
    with pytest.raises(CorpusError, match=f"another folder called {own.name}"):
        import_corpus("folder", tmp_path / "day2" / own.name, tmp_path / "sounds")
    assert len(load_clips(tmp_path / "sounds")) == 30


def test_what_has_become_unusable_or_is_gone_is_forgotten(own, tmp_path):
    import_corpus("folder", own, tmp_path / "sounds")
    (own / "cat" / "take0.wav").write_bytes(b"no sound")
    for path in (own / "noise").iterdir():
        path.unlink()
    assert "Missing: background noise" in import_corpus("folder", own, tmp_path / "sounds").summary()
    assert "mine/cat/take0.wav" not in {clip.source for clip in load_clips(tmp_path / "sounds")}


def test_noise_beside_split_folders_is_refused(tmp_path, write_sound, tone):
    for name in ("train/cat/a.wav", "test/cat/b.wav", "noise/c.wav"):
        write_sound(tmp_path / "mine" / name, tone(500))
    with pytest.raises(CorpusError, match="holds noise beside test, train; put noise into each of those"):
        import_corpus("folder", tmp_path / "mine", tmp_path / "sounds")


def test_a_name_in_another_encoding_is_left_out(own, tmp_path):
    (own / "cat" / "take0.wav").rename(own / "cat" / os.fsdecode(b"caf\xe9.wav"))
    report = import_corpus("folder", own, tmp_path / "sounds")
    assert report.taken == 29
    assert report.skipped == [r"'caf\udce9.wav': its name, or its folder's, is not UTF-8; rename it."]


def test_files_without_a_header_and_folders_without_a_name_are_left_out(own, tmp_path, write_sound, tone):
    (own / "cat" / "take.raw").write_bytes(bytes(1000))
    write_sound(own / "!!" / "a.wav", tone(500))
    report = import_corpus("folder", own, tmp_path / "sounds")
    assert report.taken == 30
    assert any("take.raw: cannot be read" in sentence for sentence in report.skipped)
    assert "!!: a class is called by letters and digits." in report.skipped


def test_esc50(tmp_path, write_sound, tone):
    folder = tmp_path / "ESC-50-master"
    lines = ["filename,fold,target,category,esc10,src_file,take"]
    for fold, name in enumerate(("dog", "dog", "rooster", "dog", "sea_waves"), start=1):
        write_sound(folder / "audio" / f"{fold}-7-A-0.wav", tone(200 * fold, 0.3, 44100), 44100)
        lines.append(f"{fold}-7-A-0.wav,{fold},0,{name},{name == 'dog'},{fold}7,A")
    table(folder / "meta" / "esc50.csv", "\n".join([*lines, "gone.wav,1,0,dog,True,9,A"]))
    report = import_corpus("esc50", folder, tmp_path / "sounds")
    clips = load_clips(tmp_path / "sounds")
    assert [(c.label, c.split) for c in clips] == [
        ("dog", "train"), ("dog", "train"), ("rooster", "train"), ("dog", "val"), ("sea_waves", "test"),
    ]  # fmt: skip
    assert {c.licence for c in clips if c.label == "dog"} == {"CC-BY-3.0"} and clips[2].licence == "CC-BY-NC-3.0"
    assert clips[0].group == "freesound/17"
    assert report.skipped == ["ESC-50-master/audio/gone.wav: cannot be read (there is no such file)."]


def test_urbansound8k(tmp_path, write_sound, tone):
    folder = tmp_path / "UrbanSound8K"
    lines = ["slice_file_name,fsID,start,end,salience,fold,classID,class"]
    for fold, salience in ((1, 1), (9, 1), (10, 1), (2, 2)):
        write_sound(folder / "audio" / f"fold{fold}" / f"{fold}-3-0-0.wav", tone(100 * fold, 0.3, 48000), 48000)
        lines.append(f"{fold}-3-0-0.wav,{fold},0,0.3,{salience},{fold},3,dog_bark")
    table(folder / "metadata" / "UrbanSound8K.csv", "\n".join(lines))
    report = import_corpus("urbansound8k", folder, tmp_path / "sounds")
    assert [(c.label, c.split) for c in load_clips(tmp_path / "sounds")] == [
        ("dog_bark", "train"), ("dog_bark", "val"), ("dog_bark", "test"),
    ]  # fmt: skip
    assert report.skipped == ["2-3-0-0.wav: its class is in the background."]


def test_fsd50k_takes_the_most_special_class_and_leaves_several_sounds_out(tmp_path, write_sound, tone):
    folder = tmp_path / "FSD50K"
    dev = {"1": "Electric_guitar,Guitar,Music", "2": "Guitar,Music", "3": "Bark,Dog", "4": "Bark,Dog,Guitar,Music",
           "5": "Music", "6": "Dog"}  # fmt: skip
    splits = ["train", "val", "train", "train", "train", "train"]
    for name in (*dev, "7"):
        write_sound(folder / f"FSD50K.{'eval' if name == '7' else 'dev'}_audio" / f"{name}.wav", tone(300, 0.2))
    rows = [f'{name},"{labels}",m,{split}' for (name, labels), split in zip(dev.items(), splits, strict=True)]
    table(folder / "FSD50K.ground_truth" / "dev.csv", "\n".join(["fname,labels,mids,split", *rows]))
    table(folder / "FSD50K.ground_truth" / "eval.csv", 'fname,labels,mids\n7,"Bark,Dog",m\n')
    infos = {"1": {"uploader": "ann", "license": "http://creativecommons.org/licenses/by-nc/3.0/"}}
    table(folder / "FSD50K.metadata" / "dev_clips_info_FSD50K.json", json.dumps(infos))
    report = import_corpus("fsd50k", folder, tmp_path / "sounds")
    clips = load_clips(tmp_path / "sounds")
    assert [(c.label, c.split) for c in clips] == [
        ("electric_guitar", "train"), ("guitar", "val"), ("bark", "train"), ("music", "train"), ("dog", "train"),
        ("bark", "test"),
    ]  # fmt: skip
    assert (clips[0].group, clips[0].licence) == ("freesound/ann", "CC-BY-NC-3.0")
    assert report.skipped == ["4.wav: several sounds at once (Bark, Guitar)."]


@pytest.mark.parametrize(
    "layout, reason",
    [("esc50", "esc50.csv is missing"), ("fsd50k", "dev.csv is missing"), ("urbansound8k", "UrbanSound8K.csv is miss"),
     ("dcase", "no pairs of NAME.wav"), ("folder", "no folders"), ("wav", "no layout is called wav; there are folder")],
)  # fmt: skip
def test_another_layout_is_refused(tmp_path, layout, reason):
    (tmp_path / "empty").mkdir()
    with pytest.raises(CorpusError, match=reason):
        import_corpus(layout, tmp_path / "empty", tmp_path / "sounds")


def test_table_of_another_kind_is_refused(tmp_path):
    table(tmp_path / "meta" / "esc50.csv", "a,b\n1,2\n")
    with pytest.raises(CorpusError, match="no column filename, fold, category"):
        import_corpus("esc50", tmp_path, tmp_path / "sounds")


def test_names(tmp_path):
    assert class_name("Dog bark (big)") == "dog_bark_big"
    assert licence_name("http://creativecommons.org/publicdomain/zero/1.0/") == "CC0-1.0"
    assert licence_name("https://creativecommons.org/licenses/by/4.0/") == "CC-BY-4.0"
    assert licence_name("ask me") == "ask me"


def test_noise_alone_may_be_imported(tmp_path, write_sound, tone):
    write_sound(tmp_path / "mine" / "noise" / "a.wav", tone(500))
    words = ["data", "import", "folder", str(tmp_path / "mine"), "--into", str(tmp_path / "sounds")]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0 and "1 recordings of background noise" in result.output
    assert "labels" not in result.output


def test_command(own, tmp_path):
    result = CliRunner().invoke(app, ["data", "import", "folder", str(own), "--into", str(tmp_path / "sounds")])
    assert result.exit_code == 0 and "30 clips of 5 classes" in result.output
    result = CliRunner().invoke(app, ["data", "import", "folder", str(tmp_path / "nowhere")])
    assert result.exit_code == 2 and "nowhere is no folder" in result.output
