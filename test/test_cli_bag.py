"""`seld-overlap bag` and `evaluate` as a build server runs them: what they leave, and their exit codes."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from rewriting import rewrite
from rosbags.rosbag2 import Reader, StoragePlugin, Writer
from typer.testing import CliRunner

from seld_overlap_ros.bags.definitions import type_store
from seld_overlap_ros.bags.reading import read_bag
from seld_overlap_ros.bags.runs import RunWriter
from seld_overlap_ros.cli import app
from seld_overlap_ros.cli_bag import _each, _titles
from seld_overlap_ros.models.engine import DEFAULT_MODEL
from seld_overlap_ros.streaming.sources import find_scene


def run(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture(scope="module")
def bag(tmp_path_factory):
    """A bag of five and a bit seconds of the demo."""
    folder = tmp_path_factory.mktemp("scene")
    samples, rate = soundfile.read(find_scene("demo"), dtype="float32", stop=5 * 16000)
    soundfile.write(folder / "scene.flac", samples, rate, subtype="PCM_16")
    (folder / "scene.json").write_text(find_scene("demo").with_suffix(".json").read_text())
    shutil.copytree(find_scene("demo").with_suffix(".stems"), folder / "scene.stems")
    made = run("bag", "make", folder / "scene.flac", folder / "bag", "--storage", "sqlite3")
    assert made.exit_code == 0 and "12 true sounds" in made.output
    return folder / "bag"


def test_a_bag_is_scored_into_a_table_and_a_file(bag, tmp_path):
    out = tmp_path / "new" / "scores.json"
    done = run("evaluate", bag, "--hop", 1, "--out", out, "--fail-under", "found=0.1")
    assert done.exit_code == 0, done.output
    assert DEFAULT_MODEL in done.output and "guitar strum" in done.output
    assert "8 of 12 true sounds lie before or after the audio" in done.output
    result = json.loads(out.read_text())
    assert result["settings"]["hop_s"] == 1.0 and result["systems"][DEFAULT_MODEL]["all"]["n"] == 4
    assert result["systems"][DEFAULT_MODEL]["all"]["si_sdri"] > 0  # the scene has stems
    page = out.with_suffix(".html").read_text()
    assert page.count("<audio") > 8 and "a market" not in page and "CC-BY" in page


def test_too_low_a_score_ends_with_1(bag, tmp_path):
    done = run("evaluate", bag, "--hop", 2, "--out", tmp_path / "scores.json", "--fail-under", "f20=1")
    assert done.exit_code == 1 and f"{DEFAULT_MODEL}: f20 is" in done.output and (tmp_path / "scores.json").is_file()


def test_bad_input_ends_with_2_and_what_is_good_is_scored(bag, tmp_path):
    done = run("evaluate", bag, tmp_path / "none", "--hop", 2, "--out", tmp_path / "scores.json")
    assert done.exit_code == 2 and "no bag" in done.output and "guitar strum" in done.output
    assert json.loads((tmp_path / "scores.json").read_text())["problems"]


@pytest.mark.parametrize(("topic", "code", "sentence"), [
    ("/truth", 2, "odd has no ground truth (no topic truth): there is nothing to score against"),
    ("/audio_info", 0, "no audio_info beside /audio_stamped: the audio is taken for"),
    ("/audio_stamped", 2, "odd holds no audio that is understood: it has /truth"),
])
def test_a_bag_that_lacks_a_topic_is_named_and_all_that_can_be_said_is(bag, tmp_path, topic, code, sentence):
    with Reader(bag) as reader, Writer(tmp_path / "odd", version=8, storage_plugin=StoragePlugin.MCAP) as writer:
        kept = [one for one in reader.connections if one.topic != topic]
        made = {one.topic: writer.add_connection(one.topic, one.msgtype, typestore=type_store(kept)) for one in kept}
        for connection, ns, raw in reader.messages(kept):
            writer.write(made[connection.topic], ns, raw)
    done = run("evaluate", tmp_path / "odd", bag, "--hop", 4, "--out", tmp_path / "scores.json")
    assert done.exit_code == code and sentence in done.output
    result = json.loads((tmp_path / "scores.json").read_text())
    assert result["systems"][DEFAULT_MODEL]["all"]["n"] == 8 - 4 * bool(code)


CLEAR = "\x1b[2J"  # clears a terminal that it is sent to


def test_a_topic_of_a_bag_steers_no_terminal(bag, tmp_path):
    with Reader(bag) as reader, Writer(tmp_path / "odd", version=8, storage_plugin=StoragePlugin.MCAP) as writer:
        kept, store = [one for one in reader.connections if one.topic != "/stems"], type_store(reader.connections)
        made = {one.topic: writer.add_connection(one.topic.replace("/clock", f"/{CLEAR}/stems"), one.msgtype,
                                                 typestore=store) for one in kept}
        for connection, ns, raw in reader.messages(kept):
            writer.write(made[connection.topic], ns, raw)
    done = run("evaluate", tmp_path / "odd", "--hop", 4, "--out", tmp_path / "scores.json")
    assert done.exit_code == 0 and CLEAR not in done.output
    assert "odd: /?[2J/stems is a rosgraph_msgs/msg/Clock and no seld_overlap/msg/SeparatedSource" in done.output


@pytest.mark.parametrize(("onset_s", "code"), [(0.0, 0), (1e12, 2)])
def test_the_title_of_a_scene_steers_no_terminal_whether_it_becomes_a_bag_or_not(tmp_path, onset_s, code):
    soundfile.write(tmp_path / "a.wav", np.zeros((1600, 4)), 16000)
    sound = {"id": 1, "azimuth_deg": 0, "label": "bell", "onset_s": onset_s, "duration_s": 0.1, "source": "a",
             "licence": "CC0"}
    (tmp_path / "a.json").write_text(json.dumps({"title": f"{CLEAR}A", "events": [sound], "noise": []}))
    done = run("bag", "make", tmp_path / "a.wav", tmp_path / "bag")
    assert done.exit_code == code and CLEAR not in done.output and "?[2JA" in done.output


def test_a_bag_with_a_broken_end_is_scored_as_far_as_it_reaches_and_said(bag, tmp_path):
    shutil.copytree(bag, tmp_path / "cut")
    file = next((tmp_path / "cut").glob("*.db3"))
    file.write_bytes(file.read_bytes()[: int(0.9 * file.stat().st_size)])
    done = run("evaluate", tmp_path / "cut", "--hop", 4, "--out", tmp_path / "scores.json")
    assert done.exit_code == 0 and ("cut is not whole" in done.output or "cut is damaged" in done.output)
    assert json.loads((tmp_path / "scores.json").read_text())["systems"][DEFAULT_MODEL]["all"]["n"] > 0


def test_the_classical_system_stands_beside_a_model(bag, tmp_path):
    pytest.importorskip("pyroomacoustics", reason="a robot does not have it")
    out = tmp_path / "scores.json"
    done = run("evaluate", bag, "--system", DEFAULT_MODEL, "--system", "classical", "--hop", 1, "--out", out)
    assert done.exit_code == 0, done.output
    classical = json.loads(out.read_text())["systems"]["classical"]
    assert classical["all"]["found"] >= 0.5 and classical["all"]["si_sdri"] > 0 and classical["lost"]["named"]


@pytest.fixture
def unheard(monkeypatch):
    """Nothing may be listened to: what cannot be is to be said before."""
    monkeypatch.setattr("seld_overlap_ros.evaluation.replay.hear_all", lambda *_: pytest.fail("it listens"))


@pytest.mark.parametrize(("words", "sentence"), [
    (("--live", "--graph", "none"), "no graph 'none'; there is full"),
    (("--live", "--graph", "demo"), "this graph plays by itself: name one of full, stages, cascade"),
    (("--out", "."), ". is a folder: name a file in it, such as evaluation.json"),
    (("--out", "file/scores.json"), "file"),
])
def test_what_cannot_be_is_said_before_a_bag_is_heard(bag, tmp_path, monkeypatch, unheard, words, sentence):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    done = run("evaluate", bag, *words)
    assert done.exit_code == 2 and sentence in done.output and "Traceback" not in done.output


def test_a_run_is_of_one_bag_and_one_system(bag, tmp_path, unheard):
    done = run("evaluate", bag, bag, "--run", tmp_path / "run", "--hop", 4, "--out", tmp_path / "s.json")
    assert done.exit_code == 2 and "--run is of one bag and one system, and 2 and 1 are named" in done.output
    done = run("evaluate", bag, "--run", tmp_path / "run", "--hop", 4, "--out", tmp_path / "s.json")
    assert done.exit_code == 2 and f"no bag {tmp_path / 'run'}" in done.output


@pytest.mark.parametrize(("model", "system"), [
    ("cascade", DEFAULT_MODEL), (f"mine/{DEFAULT_MODEL}.model.safetensors", DEFAULT_MODEL)])
def test_a_run_of_another_model_is_refused_before_the_bag_is_heard(bag, tmp_path, unheard, model, system):
    store, writer = type_store(), RunWriter(tmp_path / "run")
    types = {name: store.types[f"{name.replace('.', '/msg/')}"] for name in (
        "std_msgs.Header", "builtin_interfaces.Time", "seld_overlap.LabelTable")}
    header = types["std_msgs.Header"](types["builtin_interfaces.Time"](0, 0), "")
    labels = types["seld_overlap.LabelTable"](header, model, ["bell"], np.zeros(1, np.float32))
    writer.write("labels", store.serialize_cdr(labels, "seld_overlap/msg/LabelTable"))
    writer.audio_came(0)
    writer.close()
    done = run("evaluate", bag, "--run", tmp_path / "run", "--system", system, "--out", tmp_path / "s.json")
    assert done.exit_code == 2
    assert f"is of the model {model} and not of {system}: name it with --system" in " ".join(done.output.split())


def test_channels_in_another_order_are_named(bag, tmp_path):
    samples, rate = soundfile.read(bag.parent / "scene.flac", dtype="int16")
    soundfile.write(tmp_path / "scene.flac", samples[:, ::-1], rate, subtype="PCM_16")
    (tmp_path / "scene.json").write_text((bag.parent / "scene.json").read_text())
    assert run("bag", "make", tmp_path / "scene.flac", tmp_path / "turned").exit_code == 0
    backwards, results = "7,6,5,4,3,2,1,0", []
    for number, words in enumerate([(bag,), (tmp_path / "turned", "--channel-map", backwards)]):
        out = tmp_path / f"{number}.json"
        assert run("evaluate", *words, "--hop", 1, "--out", out).exit_code == 0
        results.append(json.loads(out.read_text()))
    one, other = (result["systems"][DEFAULT_MODEL]["heard"][0]["events"] for result in results)
    assert one == other and len(one) > 2
    assert results[1]["settings"]["channel_map"] == backwards and results[1]["engines"].keys() == {DEFAULT_MODEL}


def test_true_classes_that_the_model_does_not_know_are_said(bag, tmp_path):
    (tmp_path / "room.csv").write_text("0,3,0,90,0\n1,3,0,90,0\n1,0,1,0,0\n")
    (tmp_path / "classes.txt").write_text("Piano\n")
    made = run("bag", "from-wav", bag.parent / "scene.flac", tmp_path / "room.csv", tmp_path / "room")
    assert made.exit_code == 0
    done = run("evaluate", tmp_path / "room", "--hop", 4, "--out", tmp_path / "scores.json")
    said = "true classes that the model does not know, and so cannot name: class_3"
    assert done.exit_code == 0 and f"{DEFAULT_MODEL}: {said}" in " ".join(done.output.split())
    assert said in (tmp_path / "scores.html").read_text()


def test_a_recorded_bag_is_labelled(bag, tmp_path):
    (tmp_path / "room.csv").write_text("".join(f"{frame},0,0,90,0\n" for frame in (*range(10, 20), 900)))
    (tmp_path / "classes.txt").write_text("Piano\n")
    done = run("bag", "label", bag, tmp_path / "room.csv", tmp_path / "labelled")
    assert done.exit_code == 0, done.output
    said = " ".join(done.output.split())
    assert "1 of 2 true sounds lie before or after the audio" in said and "; 1 true sounds" in said
    [event] = read_bag(tmp_path / "labelled").events
    assert (event.label, event.onset_s, event.duration_s) == ("piano", 1.0, 1.0)
    assert run("bag", "label", bag, tmp_path / "room.csv", tmp_path / "labelled").exit_code == 2
    (tmp_path / "room.csv").write_text(f"{10**15},0,0,90,0\n")
    done = run("bag", "label", bag, tmp_path / "room.csv", tmp_path / "never")
    assert done.exit_code == 2 and "a number is too large for a message on /truth" in " ".join(done.output.split())
    assert not (tmp_path / "never").exists()


def test_audio_that_does_not_say_its_channels_is_labelled_where_the_user_says_them(bag, tmp_path):
    def raw(topic, message, ns):
        return ("/audio", message.audio, ns) if topic == "/audio_stamped" else None

    recorded = rewrite(bag, tmp_path / "recorded", raw)
    (tmp_path / "room.csv").write_text("".join(f"{frame},0,0,90,0\n" for frame in range(10, 20)))
    words = ("bag", "label", recorded, tmp_path / "room.csv", tmp_path / "labelled")
    done = run(*words)
    assert done.exit_code == 2 and "how many channels its audio has" in " ".join(done.output.split())
    assert not (tmp_path / "labelled").exists()
    assert run(*words, "--channels", 8).exit_code == 0
    [event] = read_bag(tmp_path / "labelled", n_channels=8).events
    assert (event.onset_s, event.duration_s) == pytest.approx((1.0, 1.0), abs=1e-6)


def test_bags_of_another_array_alone_end_with_2_and_a_sentence(bag, tmp_path):
    samples, rate = soundfile.read(bag.parent / "scene.flac", dtype="int16")
    soundfile.write(tmp_path / "four.flac", samples[:, :4], rate, subtype="PCM_16")
    (tmp_path / "four.json").write_text((bag.parent / "scene.json").read_text())
    assert run("bag", "make", tmp_path / "four.flac", tmp_path / "four").exit_code == 0
    done = run("evaluate", tmp_path / "four", "--hop", 1, "--out", tmp_path / "scores.json")
    assert done.exit_code == 2, done.output
    assert "the audio has 4 channels and the model needs 8" in " ".join(done.output.split())
    assert json.loads((tmp_path / "scores.json").read_text())["run_time"][DEFAULT_MODEL]["times_real_time"] is None


def test_bags_are_scored_and_shown_without_torch(bag, tmp_path, without_torch):
    command = ["evaluate", str(bag), "--hop", "4", "--out", str(tmp_path / "scores.json")]
    done = subprocess.run([sys.executable, "-c", "from seld_overlap_ros.cli import app; app()", *command],
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "scores.json").read_text())["systems"][DEFAULT_MODEL]["all"]["capi_sdri"] is not None


def test_a_bag_that_the_system_does_not_let_us_read_keeps_no_other_from_being_scored():
    def read(path):
        if path.name == "locked":
            raise PermissionError(13, "Permission denied", str(path))
        return path

    read_ones, sentences = _each(read, [Path("locked"), Path("open")])
    assert read_ones == [Path("open")] and sentences == ["[Errno 13] Permission denied: 'locked'"]


def test_files_are_called_by_their_names_unless_two_have_the_same():
    assert _titles(["classical:a/b.safetensors"]) == {"classical:a/b.safetensors": "classical"}
    assert _titles(["overlap", "a/cascade.model.safetensors", "a/x.safetensors", "b/x.safetensors"]) == {
        "overlap": "overlap", "a/cascade.model.safetensors": "cascade", "a/x.safetensors": "a/x.safetensors",
        "b/x.safetensors": "b/x.safetensors"}


@pytest.mark.parametrize(("words", "sentence"), [
    (("evaluate", "nowhere"), "no bag nowhere"),
    (("evaluate", "nowhere", "--fail-under", "er20=1"), "is no limit: write SCORE=VALUE"),
    (("evaluate", "nowhere", "--system", "none"), "no model 'none'"),
    (("evaluate", "nowhere", "--graph", "stages"), "--graph and --rate say how --live plays the bags: add --live"),
    (("evaluate", "nowhere", "--out", "x.html"), "would take the place of x.html: name it .json"),
    (("evaluate", "nowhere", "--live", "--run", "run"), "--live plays the bags, and --run is of a bag that was played"),
    (("bag", "make", "nowhere.flac", "bag"), "is no scene"),
    (("bag", "make", "demo", "bag", "--index", "3"), "--index says which of stored mixtures, and demo is no folder"),
    (("bag", "make", "demo", "bag", "--storage", "zip"), "no storage 'zip': mcap or sqlite3"),
    (("bag", "from-wav", "a.wav", "a.csv", "bag"), "a.csv"),
])
def test_what_cannot_be_done_is_said_in_a_sentence(words, sentence, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = run(*words)
    assert done.exit_code == 2 and sentence in done.output and "Traceback" not in done.output
    assert not list(tmp_path.iterdir())


def test_a_recording_with_labels_becomes_a_bag(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros((16000, 4)), 16000)
    (tmp_path / "a.csv").write_text("0,0,0,90,0\n1,0,0,90,0\n")
    done = run("bag", "from-wav", tmp_path / "a.wav", tmp_path / "a.csv", tmp_path / "bag")
    assert done.exit_code == 0 and "a; 1 true sounds" in done.output and (tmp_path / "bag" / "bag.mcap").is_file()
