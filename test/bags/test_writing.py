"""Bags as rosbag2 writes them: what is in them, how it is described, and what they refuse to be made from."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml
from rosbags.rosbag2 import Reader
from two_sounds import RATE, SOUNDS

from seld_overlap_ros.bags.definitions import FOLDERS, definitions, type_store
from seld_overlap_ros.bags.reading import read_bag
from seld_overlap_ros.bags.scenes import from_labels, from_mixture, from_scene
from seld_overlap_ros.bags.writing import START_NS, STEMS, TOPICS, write_bag
from seld_overlap_ros.evaluation.truth import stem_file
from seld_overlap_ros.messages import SECOND, to_ns
from seld_overlap_ros.streaming.pcm import AudioError

ROOT = Path(__file__).parents[2]
# As rosbag2 writes metadata.yaml since version 8 (Iron); Humble's 5 has neither the last two nor a topic's hash. Held
# against ros2/rosbag2, rosbag2_tests/resources/*/bag_with_topics_and_service_events.
METADATA = {"version", "storage_identifier", "duration", "starting_time", "message_count", "topics_with_message_count",
            "compression_format", "compression_mode", "relative_file_paths", "files", "custom_data", "ros_distro"}
TOPIC = {"name", "type", "serialization_format", "offered_qos_profiles", "type_description_hash"}
QOS = {"history", "depth", "reliability", "durability", "deadline", "lifespan", "liveliness",
       "liveliness_lease_duration", "avoid_ros_namespace_conventions"}
KEEP_LAST, AUTOMATIC, RELIABLE, BEST_EFFORT, TRANSIENT_LOCAL, VOLATILE = 1, 1, 1, 2, 1, 2  # rmw/types.h


def messages(path, topic):
    """Time [ns] and message of each on a topic."""
    with Reader(path) as reader:
        chosen = [connection for connection in reader.connections if connection.topic == topic]
        store = type_store(chosen)
        return [(ns, store.deserialize_cdr(raw, connection.msgtype)) for connection, ns, raw in reader.messages(chosen)]


def test_the_metadata_has_the_fields_of_rosbag2_and_counts_what_is_there(bag, storage):
    about = yaml.safe_load((bag / "metadata.yaml").read_text())["rosbag2_bagfile_information"]
    assert set(about) == METADATA
    assert (about["version"], about["storage_identifier"]) == (8, storage)
    assert [(bag / name).is_file() for name in about["relative_file_paths"]] == [True]
    topics = {one["topic_metadata"]["name"]: one for one in about["topics_with_message_count"]}
    assert set(topics) == set(TOPICS) - {STEMS}
    for name, one in topics.items():
        assert set(one["topic_metadata"]) == TOPIC
        assert one["message_count"] == len(messages(bag, name)) > 0
        assert one["topic_metadata"]["type_description_hash"].startswith("RIHS01_")
    assert about["message_count"] == sum(one["message_count"] for one in topics.values())
    times = [ns for topic in topics for ns, _ in messages(bag, topic)]
    for part in (about, *about["files"]):
        assert part["starting_time"] == {"nanoseconds_since_epoch": min(times)}
        assert part["duration"] == {"nanoseconds": max(times) - min(times)}
        assert part["message_count"] == len(times)
    assert (about["compression_format"], about["compression_mode"]) == ("", "")
    assert about["custom_data"]["title"] == "Two sounds" and "a.wav (CC0)" in about["custom_data"]["credits"]


def test_the_qos_profiles_are_spelt_as_every_rosbag2_since_humble_reads_them(bag):
    """A text of YAML in the YAML, with rmw's numbers: Humble reads no other, and Jazzy takes a number for version 8."""
    about = yaml.safe_load((bag / "metadata.yaml").read_text())["rosbag2_bagfile_information"]
    texts = {one["topic_metadata"]["name"]: one["topic_metadata"]["offered_qos_profiles"]
             for one in about["topics_with_message_count"]}
    assert all(isinstance(text, str) for text in texts.values())
    profiles = {name: yaml.safe_load(text) for name, text in texts.items()}
    for (profile,) in profiles.values():
        assert set(profile) == QOS
        assert (profile["history"], profile["liveliness"]) == (KEEP_LAST, AUTOMATIC)
        assert profile["deadline"] == profile["lifespan"] == {"sec": 9223372036, "nsec": 854775807}
    said = {name: (one["reliability"], one["durability"], one["depth"]) for name, (one,) in profiles.items()}
    assert said == {"/audio_stamped": (RELIABLE, VOLATILE, 100), "/audio_info": (RELIABLE, TRANSIENT_LOCAL, 1),
                    "/truth": (RELIABLE, VOLATILE, 50), "/clock": (BEST_EFFORT, VOLATILE, 1)}


def test_the_audio_comes_whole_in_chunks_that_follow_on(bag, samples):
    chunks = messages(bag, "/audio_stamped")
    raw = np.concatenate([message.audio.data for _, message in chunks]).view("<i2").reshape(-1, 8)
    np.testing.assert_array_equal(raw[: len(samples)] / 2**15, samples)
    assert not raw[len(samples) :].any() and len(raw) == len(samples) + RATE
    stamps = [to_ns(message.header.stamp) for _, message in chunks]
    assert stamps == [START_NS + n * SECOND // 10 for n in range(len(chunks))]
    assert [ns for ns, _ in chunks] == [stamp + SECOND // 10 for stamp in stamps]  # received when it has sounded
    info = messages(bag, "/audio_info")[0][1]
    assert (info.channels, info.sample_rate, info.sample_format, info.coding_format) == (8, RATE, "S16LE", "wave")


def test_the_truth_says_each_sound_when_it_begins_and_when_it_ends(bag):
    said = [((ns - START_NS) / SECOND, [event.id for event in message.events], [event.id for event in message.ended])
            for ns, message in messages(bag, "/truth")]
    assert said == [(0.0, [], []), (0.5, [1], []), (1.5, [1, 4], []), (1.75, [4], [1]), (4.5, [], [4])]
    first = messages(bag, "/truth")[1][1].events[0]
    assert (first.hypotheses[0].label, first.unknown, first.ended) == ("dog_bark", False, False)
    assert to_ns(first.onset) == START_NS + SECOND // 2 and to_ns(first.duration) == 5 * SECOND // 4


def test_each_sound_alone_is_in_the_bag_too_where_there_are_stems(scene, stems, tmp_path, storage):
    write_bag(tmp_path / "bag", from_scene(scene), storage)
    said = messages(tmp_path / "bag", STEMS)
    assert all(ns == to_ns(one.header.stamp) + len(one.samples) * SECOND // RATE for ns, one in said)
    for sound in SOUNDS:
        chunks = [one for _, one in said if one.event.id == sound["id"]]
        assert [one.sequence for one in chunks] == list(range(len(chunks))) and len(chunks) > 10
        assert {(one.sample_rate, one.event.hypotheses[0].label) for one in chunks} == {(RATE, sound["label"])}
        assert [one.event.ended for one in chunks] == [False] * (len(chunks) - 1) + [True]
        first = (to_ns(chunks[0].header.stamp) - START_NS) * RATE // SECOND
        alone = np.concatenate([one.samples for one in chunks])
        np.testing.assert_array_equal(alone, stems[sound["id"]][first:][: len(alone)])
        assert not np.delete(stems[sound["id"]], np.arange(first, first + len(alone))).any()


def test_a_stem_of_another_rate_is_refused(scene, stems):
    soundfile.write(stem_file(scene, 1), np.zeros((8, 1)), 8000)
    with pytest.raises(ValueError, match="1.flac has 1 channels at 8000 Hz: a stem has one at the scene's 16000 Hz"):
        from_scene(scene)
    stem_file(scene, 1).write_bytes(b"nothing of the kind")
    with pytest.raises(ValueError, match="1.flac cannot be read"):
        from_scene(scene)


def test_the_clock_goes_with_the_audio(bag):
    clock = [(ns, to_ns(message.clock)) for ns, message in messages(bag, "/clock")]
    assert all(ns == said for ns, said in clock) and clock[0][0] == START_NS
    assert [ns for ns, _ in clock[1:]] == [ns for ns, _ in messages(bag, "/audio_stamped")]


def test_the_same_scene_makes_the_same_bag(bag, scene, tmp_path, storage):
    write_bag(tmp_path / "again" / "bag", from_scene(scene), storage)
    assert all((tmp_path / "again" / "bag" / path.name).read_bytes() == path.read_bytes() for path in bag.iterdir())


def test_ros_itself_reads_the_messages_and_hashes_the_types_alike(scene, stems, tmp_path):
    pytest.importorskip("rclpy", reason="needs ROS 2")
    from ament_index_python import get_package_share_directory
    from audio_common_msgs.msg import AudioDataStamped, AudioInfo
    from rclpy.serialization import deserialize_message
    from seld_overlap.msg import SeparatedSource, SoundEventArray

    write_bag(tmp_path / "bag", from_scene(scene))
    classes = {"/audio_stamped": AudioDataStamped, "/audio_info": AudioInfo, "/truth": SoundEventArray,
               STEMS: SeparatedSource}
    with Reader(tmp_path / "bag") as reader:
        last = {connection.topic: raw for connection, _, raw in reader.messages()}
    said = {topic: deserialize_message(bytes(last[topic]), kind) for topic, kind in classes.items()}
    assert said[STEMS].event.ended and said[STEMS].sample_rate == RATE
    assert said["/truth"].ended[0].hypotheses[0].label == "speech"
    assert said["/audio_info"].sample_format == "S16LE" and len(said["/audio_stamped"].audio.data) == 1600 * 8 * 2
    about = yaml.safe_load((tmp_path / "bag" / "metadata.yaml").read_text())["rosbag2_bagfile_information"]
    for one in (one["topic_metadata"] for one in about["topics_with_message_count"]):
        package, _, name = one["type"].split("/")
        path = Path(get_package_share_directory(package)) / "msg" / f"{name}.json"
        hashes = {known["type_name"]: known["hash_string"] for known in json.loads(path.read_text())["type_hashes"]}
        assert hashes[one["type"]] == one["type_description_hash"]


def test_a_stored_mixture_comes_back_to_the_bit(tmp_path, storage):
    pytest.importorskip("torchmetrics", reason="the mixtures here come with what evaluates them")
    from tiny_mixtures import make_store

    store = make_store([{0: "a"}, {2: "b", 5: "c"}])
    write_bag(tmp_path / "bag", from_mixture(store, 1), storage)
    chunks = messages(tmp_path / "bag", "/audio_stamped")
    raw = np.concatenate([message.audio.data for _, message in chunks]).view("<f4").reshape(-1, 8)
    np.testing.assert_array_equal(raw[: store[1].mixture.shape[1]].T, store[1].mixture)
    found = read_bag(tmp_path / "bag")
    assert [(event.label, event.onset_s) for event in found.events] == [("b", 0.0), ("c", 0.25)]
    np.testing.assert_allclose([event.azimuth for event in found.events], [store.azimuths[2], store.azimuths[5]],
                               atol=1e-6)
    stems = found.stems(RATE)
    for number, stem in enumerate(store[1].stems, 1):
        np.testing.assert_array_equal(stems[number].between(0, len(stem)), stem)
    with pytest.raises(ValueError, match="no mixture 2: there are 2"):
        from_mixture(store, 2)


def test_a_recording_with_labels_keeps_its_24_bits(tmp_path, samples):
    quiet = samples / 200
    soundfile.write(tmp_path / "room.wav", quiet, RATE, subtype="PCM_24")
    (tmp_path / "room.csv").write_text("".join(f"{frame},1,0,{azimuth},0\n" for frame, azimuth in (
        *((frame, 30) for frame in range(10, 20)), *((frame, -90) for frame in range(40, 45)))))
    (tmp_path / "classes.txt").write_text("Speech\nDog bark\n")
    write_bag(tmp_path / "bag", from_labels(tmp_path / "room.wav", tmp_path / "room.csv"))
    found = read_bag(tmp_path / "bag")
    assert found.described.sample_format == "S24LE"
    assert [(event.label, round(event.azimuth_deg), event.onset_s, event.duration_s) for event in found.events] == [
        ("dog_bark", 30, 1.0, 1.0), ("dog_bark", -90, 4.0, 0.5)]


def test_what_cannot_become_a_bag_leaves_none(scene, bag, tmp_path):
    with pytest.raises(ValueError, match="is there already"):
        write_bag(bag, from_scene(scene))
    truth = scene.with_suffix(".json").read_text()
    scene.with_suffix(".json").write_text("{}")
    with pytest.raises(ValueError, match="is no scene: it lacks 'events'"):
        from_scene(scene)
    scene.with_suffix(".json").write_text(truth)
    whole = scene.read_bytes()
    scene.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(AudioError, match="cannot be played"):
        write_bag(tmp_path / "half", from_scene(scene))
    assert not (tmp_path / "half").exists()


@pytest.mark.parametrize("wrong", [{"onset_s": 1e10}, {"duration_s": 1e10}, {"azimuth_deg": 1e300}])
def test_a_truth_that_no_message_can_hold_is_refused_in_a_sentence(scene, tmp_path, wrong):
    truth = json.loads(scene.with_suffix(".json").read_text())
    truth["events"][0] |= wrong
    scene.with_suffix(".json").write_text(json.dumps(truth))
    with pytest.raises(ValueError, match=r"Two sounds: a number is too large for a message on /truth .* in seconds"):
        write_bag(tmp_path / "bag", from_scene(scene))
    assert not (tmp_path / "bag").exists()


def test_more_channels_than_audio_info_can_tell_are_refused_in_a_sentence(scene, tmp_path):
    soundfile.write(scene.with_suffix(".wav"), np.zeros((100, 256)), RATE)
    with pytest.raises(ValueError, match=r"a number is too large for a message on /audio_info .* number of channels"):
        write_bag(tmp_path / "bag", from_scene(scene.with_suffix(".wav")))


def test_a_scene_without_sounds_has_a_truth_all_the_same(scene, tmp_path):
    scene.with_suffix(".json").write_text(json.dumps({"title": "Nothing", "events": [], "noise": []}))
    write_bag(tmp_path / "bag", from_scene(scene))
    assert read_bag(tmp_path / "bag").events == ()


def test_the_definitions_are_those_of_the_messages_and_go_with_the_package(tmp_path):
    assert {f"seld_overlap/msg/{path.stem}" for path in (ROOT / "msg").glob("*.msg")} < set(definitions())
    subprocess.run([sys.executable, "setup.py", "-q", "build_py", "--build-lib", tmp_path], cwd=ROOT, check=True,
                   capture_output=True)
    for package, folder in FOLDERS.items():
        shipped = tmp_path / "seld_overlap_ros" / "bags" / "msg" / package
        assert {path.name: path.read_text() for path in shipped.iterdir()} == {
            path.name: path.read_text() for path in folder.glob("*.msg")}


def test_in_a_workspace_the_definitions_are_where_colcon_puts_them(tmp_path, monkeypatch):
    monkeypatch.setattr("seld_overlap_ros.bags.definitions.FOLDERS", dict.fromkeys(FOLDERS, tmp_path / "none"))
    monkeypatch.setenv("AMENT_PREFIX_PATH", f"{tmp_path / 'other'}:{tmp_path}")
    with pytest.raises(FileNotFoundError, match="source the workspace"):
        definitions()
    for package, folder in FOLDERS.items():
        shutil.copytree(folder, tmp_path / "share" / "seld_overlap" / "definitions" / package)
    assert "seld_overlap/msg/SoundEvent" in definitions()


def test_there_are_as_many_true_sounds_as_were_told(bag):
    assert [event.to_json() for event in read_bag(bag).events] == [
        {**sound, "score": 1.0} for sound in SOUNDS]
