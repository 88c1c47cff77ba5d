"""Bags to windows and true events: whole ones, those of others, and those with something wrong, said in a sentence."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import soundfile
from rewriting import rewrite
from rosbags.rosbag2 import Reader, StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from two_sounds import RATE, SOUNDS

from seld_overlap_ros.bags.definitions import type_store
from seld_overlap_ros.bags.reading import BagError, _stretches, _Survey, read_bag
from seld_overlap_ros.bags.scenes import from_scene
from seld_overlap_ros.bags.storage import _numbered
from seld_overlap_ros.bags.writing import START_NS, label_bag, write_bag
from seld_overlap_ros.config import FrontEnd
from seld_overlap_ros.evaluation.events import Event
from seld_overlap_ros.messages import SECOND, to_ns
from seld_overlap_ros.streaming.intake import Chunk, Intake
from seld_overlap_ros.streaming.notices import Notices
from seld_overlap_ros.streaming.pcm import Description, encode

FRONT_END = FrontEnd(n_frames=61)  # 0.992 s
AUDIO, TRUTH, INFO = "audio_common_msgs/msg/AudioDataStamped", "seld_overlap/msg/SoundEventArray", "/audio_info"


def windows(bag, n_channels=8, front_end=FRONT_END):
    """The windows of a bag and the sentences about its audio."""
    said = []
    return list(bag.windows(front_end, n_channels, 0.5, Notices(said.append))), said


def in_one_piece(bag, front_end, n_channels):
    """What the windows hold, (M, n) on the scene's clock; rate [Hz]; stamp of the first sample [ns]."""
    got, _ = windows(bag, n_channels, front_end)
    at = [max(0, round(bag.since_start(window.stamp_ns) * front_end.sample_rate)) for window in got]
    whole = np.zeros((n_channels, max(at) + front_end.window_samples), np.float32)
    for start, window in zip(at, got, strict=True):
        whole[:, start : start + front_end.window_samples] = window.samples
    return whole, front_end.sample_rate, got[0].stamp_ns


def shifted(message, by_ns):
    """A message, and what it says of time, so much later."""
    def later(time):
        sec, nanosec = divmod(to_ns(time) + by_ns, SECOND)
        return replace(time, sec=sec, nanosec=nanosec)

    message = replace(message, header=replace(message.header, stamp=later(message.header.stamp)))
    if hasattr(message, "ended"):
        message.events = [replace(event, onset=later(event.onset)) for event in message.events]
        message.ended = [replace(event, onset=later(event.onset)) for event in message.ended]
    return message


def test_a_bag_gives_the_windows_that_a_node_gets(bag, samples):
    whole = np.concatenate((samples, np.zeros((RATE, 8), np.float32)))
    intake = Intake(FRONT_END, 8, 0.5, Notices(print))
    intake.describe(Description(8, RATE, "S16LE"))
    expected = []
    for start in range(0, len(whole), 1600):
        stamp_ns = START_NS + start * SECOND // RATE
        expected += intake.push(Chunk(stamp_ns, encode(whole[start : start + 1600], "S16LE")))
    got, said = windows(read_bag(bag))
    assert said == [] and [window.stamp_ns for window in got] == [window.stamp_ns for window in expected]
    for one, other in zip(got, expected, strict=True):
        np.testing.assert_array_equal(one.samples, other.samples)


def test_a_bag_gives_its_audio_its_length_and_its_truth(bag, samples):
    found = read_bag(bag)
    whole, rate, start_ns = in_one_piece(found, FRONT_END, 8)
    np.testing.assert_array_equal(whole[:, : len(samples)], samples.T)
    assert (rate, start_ns, found.duration_s, found.notes) == (RATE, START_NS, 7.0, [])
    assert [event.to_json() for event in found.events] == [{**sound, "score": 1.0} for sound in SOUNDS]


def test_one_file_of_a_bag_will_do(bag, samples):
    file = next(path for path in bag.iterdir() if path.suffix in (".mcap", ".db3"))
    np.testing.assert_array_equal(in_one_piece(read_bag(file), FRONT_END, 8)[0][:, : len(samples)], samples.T)


def test_topics_are_known_by_what_a_node_without_a_namespace_calls_them(bag, tmp_path):
    assert read_bag(bag).heard_topics == {"/audio_stamped": "/audio_stamped", "/audio_info": "/audio_info"}
    moved = rewrite(bag, tmp_path / "moved", lambda topic, message, ns: (f"/robot/head{topic}", message, ns))
    assert read_bag(moved).heard_topics == {
        "/robot/head/audio_stamped": "/audio_stamped", "/robot/head/audio_info": "/audio_info"}


def test_topics_in_a_namespace_are_found_and_separated_audio_is_not_taken_for_the_array(bag, tmp_path, samples):
    def change(topic, message, ns):
        moved = [(f"/robot/head{topic}", message, ns)]
        if topic == "/audio_stamped":
            moved.insert(0, (f"/robot/head/separated_audio/direction_0{topic}", shifted(message, 1), ns))
        return moved

    found = read_bag(rewrite(bag, tmp_path / "moved", change))
    np.testing.assert_array_equal(in_one_piece(found, FRONT_END, 8)[0][:, : len(samples)], samples.T)
    assert len(found.events) == 2 and not found.notes


def test_a_bag_without_ground_truth_is_read_and_says_so(bag, tmp_path):
    bare = rewrite(bag, tmp_path / "bare", lambda topic, message, ns: (
        None if topic == "/truth" else (topic, message, ns)))
    found = read_bag(bare)
    assert found.events is None and len(windows(found)[0]) > 10
    assert found.notes == ["bare has no ground truth (no topic truth): there is nothing to score against"]


def test_a_truth_without_messages_is_none_and_said(bag, tmp_path):
    def cut(topic, message, ns):
        if topic == "/truth":
            message.events, message.ended = [], []
        return topic, message, ns

    silent = read_bag(rewrite(bag, tmp_path / "silent", cut))
    assert silent.events == () and not silent.notes  # it says that nothing sounds
    mute = rewrite(bag, tmp_path / "mute", lambda topic, message, ns: (topic, message, ns), "/truth")
    found = read_bag(mute)
    assert found.events is None
    assert found.notes == ["mute has no ground truth (no message of /truth that can be read): there is nothing to "
                           "score against"]


def test_of_a_message_of_truth_every_sound_that_can_be_read_counts(bag, tmp_path):
    def change(topic, message, ns):
        for event in [*message.events, *message.ended] if topic == "/truth" else ():
            event.hypotheses = event.hypotheses if event.id > 1 else []
        return topic, message, ns

    found = read_bag(rewrite(bag, tmp_path / "odd", change))
    assert [event.id for event in found.events] == [4] and "names no class" in found.notes[0]


def test_true_sounds_that_share_an_id_are_said(bag, tmp_path):
    def change(topic, message, ns):
        for event in message.events if topic == "/truth" else ():
            event.id = 0
        return topic, message, ns

    found = read_bag(rewrite(bag, tmp_path / "alike", change))
    assert found.notes == ["/truth: of sounds of one message that share an id only the last one counts"]


def test_a_folder_of_bags_is_not_one_bag(bag, tmp_path):
    for name in ("a", "b"):
        shutil.copytree(bag, tmp_path / "bags" / name)
    with pytest.raises(BagError, match="bags is a folder of bags: name the bags in it one by one"):
        read_bag(tmp_path / "bags")


def test_a_truth_of_another_type_is_named(bag, tmp_path):
    odd = rewrite(bag, tmp_path / "odd", lambda topic, message, ns: (
        ("/truth", message, ns) if topic == "/clock" else None if topic == "/truth" else (topic, message, ns)))
    found = read_bag(odd)
    assert found.events is None and f"/truth is a rosgraph_msgs/msg/Clock and no {TRUTH}" in found.notes[0]


def test_stems_of_another_type_are_named_and_all_else_is_read(bag, tmp_path):
    odd = rewrite(bag, tmp_path / "odd", lambda topic, message, ns: (
        "/stems" if topic == "/clock" else topic, message, ns))
    found = read_bag(odd)
    assert found.stems(RATE) == {} and len(found.events) == 2
    assert found.notes == ["odd: /stems is a rosgraph_msgs/msg/Clock and no seld_overlap/msg/SeparatedSource, and "
                           "separation is not scored"]


def test_stems_come_at_the_rate_that_is_asked_and_what_is_no_sound_is_left_out(scene, stems, tmp_path):
    def change(topic, message, ns):
        if topic == "/stems" and message.event.id == 4:
            message.samples = np.full_like(message.samples, np.nan)
        return topic, message, ns

    write_bag(tmp_path / "bag", from_scene(scene))
    found = read_bag(rewrite(tmp_path / "bag", tmp_path / "odd", change))
    half = found.stems(RATE // 2)
    assert list(half) == [1] and half[1].start == RATE // 4 and len(half[1].samples()) == 1.45 * RATE // 2
    assert found.notes == ["/stems: sound 4: a chunk must be one channel of finite samples, not empty"]


def test_a_bag_without_audio_is_refused_with_what_it_has(bag, tmp_path):
    deaf = rewrite(bag, tmp_path / "deaf", lambda topic, message, ns: (
        None if topic == "/audio_stamped" else (topic, message, ns)))
    with pytest.raises(BagError, match=r"deaf holds no audio that is understood: it has .*/truth .*record one of"):
        read_bag(deaf)


def test_audio_without_its_info_is_taken_as_a_node_would(bag, tmp_path, samples):
    bare = rewrite(bag, tmp_path / "bare", lambda topic, message, ns: (
        None if topic == INFO else (topic, message, ns)))
    found = read_bag(bare)
    np.testing.assert_array_equal(in_one_piece(found, FRONT_END, 8)[0][:, : len(samples)], samples.T)
    assert "no audio_info beside /audio_stamped" in found.notes[0]
    assert read_bag(bare, n_channels=8).duration_s == read_bag(bag).duration_s


def test_audio_of_another_array_fills_no_window_and_says_why(bag):
    got, said = windows(read_bag(bag), n_channels=4)
    assert got == [] and "the audio has 8 channels and the model needs 4" in said[0]


def test_a_gap_counts_as_silence(bag, tmp_path, samples):
    gap = rewrite(bag, tmp_path / "gap", lambda topic, message, ns: (
        None if topic == "/audio_stamped" and 2 * SECOND < ns - START_NS <= 2.3 * SECOND else (topic, message, ns)))
    found = read_bag(gap)
    whole = in_one_piece(found, FRONT_END, 8)[0]
    assert not whole[:, 2 * RATE : round(2.3 * RATE)].any() and found.duration_s == 7.0
    np.testing.assert_array_equal(whole[:, 3 * RATE : 6 * RATE], samples[3 * RATE :].T)
    assert windows(found)[1] == ["0.300 s of audio are missing and count as silence"]


@pytest.mark.parametrize("jump_s", [1_000_000, -1_000_000])
def test_a_clock_that_jumps_leaves_the_scene_where_it_was(scene, stems, tmp_path, jump_s):
    def change(topic, message, ns):
        late = ns - START_NS > 3 * SECOND and topic in ("/audio_stamped", "/truth", "/stems")
        return topic, shifted(message, jump_s * SECOND) if late else message, ns

    write_bag(tmp_path / "bag", from_scene(scene))
    found = read_bag(rewrite(tmp_path / "bag", tmp_path / "jump", change))
    for known, stem in found.stems(RATE).items():
        np.testing.assert_array_equal(stem.between(0, 6 * RATE), stems[known])
    got, said = windows(found)
    assert found.duration_s == 7.0 and "the audio's stamps jump" in said[0]
    starts = [found.since_start(window.stamp_ns) for window in got]
    assert starts == sorted(starts) and 5 < starts[-1] < 6.1
    # the second one ended after the jump, and is told of with an onset of before in the new time
    assert [event.onset_s for event in found.events] == pytest.approx([0.5, 1.5], abs=0.01)


def test_stems_are_read_once_for_all_who_ask(scene, stems, tmp_path):
    write_bag(tmp_path / "bag", from_scene(scene))
    found = read_bag(tmp_path / "bag")
    first = found.stems(RATE)
    shutil.rmtree(tmp_path / "bag")
    assert first.keys() == stems.keys() and found.stems(RATE) is first


def test_a_bag_whose_recorder_was_killed_has_no_metadata_and_is_read(bag, samples):
    (bag / "metadata.yaml").unlink()
    found = read_bag(bag)
    np.testing.assert_array_equal(in_one_piece(found, FRONT_END, 8)[0][:, : len(samples)], samples.T)
    assert len(found.events) == 2 and "bag is not whole, and what can be read of it is read" in found.notes[0]


@pytest.mark.parametrize("share", [0.6, 0.9, 0.999])
def test_a_bag_with_a_broken_end_is_read_up_to_there(bag, share):
    file = next(path for path in bag.iterdir() if path.suffix in (".mcap", ".db3"))
    whole = file.read_bytes()
    file.write_bytes(whole[: int(share * len(whole))])
    found = read_bag(bag)
    assert "is not whole, and what can be read of it is read" in found.notes[0] or "is damaged" in found.notes[0]
    assert 2.0 < found.duration_s <= 7.0 and len(windows(found)[0]) > 2
    assert [event.label for event in found.events] == ["dog_bark", "speech"]
    assert all(event.end_s <= found.duration_s + 1e-9 for event in found.events)


def test_a_broken_end_is_read_in_the_order_of_writing_where_that_is_not_the_order_of_time(bag, tmp_path):
    mixed = rewrite(bag, tmp_path / "mixed", lambda topic, message, ns: (
        topic, message, ns - SECOND // 5 if topic == "/truth" else ns))
    whole = (mixed / "mixed.mcap").read_bytes()
    (mixed / "mixed.mcap").write_bytes(whole[:-100])
    found = read_bag(mixed)
    assert found.duration_s == 7.0 and len(found.events) == 2 and len(found.notes) == 1


def test_an_audio_topic_without_messages_is_passed_over(bag, tmp_path, samples):
    moved = rewrite(bag, tmp_path / "moved", lambda topic, message, ns: (
        "/b_longer" + topic if topic.startswith("/audio") else topic, message, ns))
    with Reader(moved) as reader, Writer(tmp_path / "odd", version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        store = type_store(reader.connections)
        writer.add_connection("/audio_stamped", AUDIO, typestore=store)
        made = {one.topic: writer.add_connection(one.topic, one.msgtype, typestore=store) for one in reader.connections}
        for connection, ns, raw in reader.messages():
            writer.write(made[connection.topic], ns, raw)
    whole, *_ = in_one_piece(read_bag(tmp_path / "odd"), FRONT_END, 8)
    np.testing.assert_array_equal(whole[:, : len(samples)], samples.T)


def test_truth_beyond_the_audio_is_not_counted_and_said(bag, tmp_path):
    short = rewrite(bag, tmp_path / "short", lambda topic, message, ns: (
        None if topic == "/audio_stamped" and ns - START_NS > SECOND else (topic, message, ns)))
    found = read_bag(short)
    assert [(event.label, event.duration_s) for event in found.events] == [("dog_bark", 0.5)]
    assert "1 of 2 true sounds lie before or after the audio" in found.notes[0]


def test_truth_before_the_audio_is_not_counted_and_said(bag, tmp_path):
    late = rewrite(bag, tmp_path / "late", lambda topic, message, ns: (
        None if topic == "/audio_stamped" and ns - START_NS < 2 * SECOND else (topic, message, ns)))
    found = read_bag(late)
    assert [event.label for event in found.events] == ["speech"]
    assert "1 of 2 true sounds lie before or after the audio" in found.notes[0]


def test_files_without_metadata_are_read_in_the_order_in_which_they_were_numbered(tmp_path):
    names = [tmp_path / f"bag_{number}.mcap" for number in range(12)]
    assert sorted(sorted(names), key=_numbered) == names


@pytest.mark.parametrize("content", [b"", b"\x89MCAP0\r\n", b"nothing of the kind" * 100])
def test_what_is_no_bag_is_refused_in_a_sentence(tmp_path, content):
    with pytest.raises(BagError, match="no bag"):
        read_bag(tmp_path / "nowhere")
    (tmp_path / "bag").mkdir()
    with pytest.raises(BagError, match="is no bag that can be read"):
        read_bag(tmp_path / "bag")
    for name in ("bag.mcap", "bag.db3"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(BagError, match="no bag that can be read|holds no audio"):
            read_bag(tmp_path / name)
        shutil.copy(tmp_path / name, tmp_path / "bag")
    (tmp_path / "bag" / "metadata.yaml").write_text("{a: [")
    with pytest.raises(BagError, match="no bag that can be read|holds no audio"):
        read_bag(tmp_path / "bag")


def test_messages_that_are_not_of_their_type_are_counted_and_the_others_heard(bag, tmp_path):
    with Reader(bag) as reader, Writer(tmp_path / "odd", version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        store = type_store(reader.connections)
        made = {one.topic: writer.add_connection(one.topic, one.msgtype, typestore=store) for one in reader.connections}
        for number, (connection, ns, raw) in enumerate(reader.messages()):
            writer.write(made[connection.topic], ns, raw if number % 9 else bytes(raw)[:7])
    found = read_bag(tmp_path / "odd")
    got, said = windows(found)
    assert len(got) > 3 and "a message on /audio_stamped is no audio_common_msgs/msg/AudioDataStamped" in said[0]
    assert any("Could not deserialize" in note for note in found.notes)


def test_audio_that_brings_its_own_definition_is_read(tmp_path):
    store = get_typestore(Stores.ROS2_JAZZY)
    store.register(get_types_from_msg("builtin_interfaces/Time timestamp\nbyte[] data\nstring format\n"
                                      "uint32 sample_rate\nuint32 number_of_channels", "foxglove_msgs/msg/RawAudio"))
    kind = store.types["foxglove_msgs/msg/RawAudio"]
    samples = np.random.default_rng(1).uniform(-0.5, 0.5, (2 * RATE, 4)).astype(np.float32)
    with Writer(tmp_path / "bag", version=9) as writer:
        audio = writer.add_connection("/audio", kind.__msgtype__, typestore=store)
        for n in range(0, len(samples), 800):
            stamp = store.types["builtin_interfaces/msg/Time"](*divmod(START_NS + n * SECOND // RATE, SECOND))
            data = np.frombuffer(encode(samples[n : n + 800], "S16LE"), np.uint8)
            writer.write(audio, START_NS + n, store.serialize_cdr(kind(stamp, data, "pcm-s16", RATE, 4),
                                                                  kind.__msgtype__))
    found = read_bag(tmp_path / "bag")
    whole, rate, _ = in_one_piece(found, FRONT_END, 4)
    np.testing.assert_allclose(whole, samples[: whole.shape[1]].T, atol=2**-15)
    assert (rate, found.duration_s) == (RATE, 2.0)


def test_audio_whose_definition_cannot_be_read_is_refused(tmp_path):
    with Writer(tmp_path / "bag", version=Writer.VERSION_LATEST, storage_plugin=StoragePlugin.MCAP) as writer:
        writer.add_connection("/audio_stamped", "audio_common_msgs/msg/AudioDataStamped", msgdef="= none",
                              rihs01="RIHS01_0")
    with pytest.raises(BagError, match="bag holds message definitions that cannot be read: "):
        read_bag(tmp_path / "bag")


def test_audio_without_stamps_is_placed_by_the_time_of_its_reception(bag, tmp_path, samples):
    def change(topic, message, ns):
        return ("/audio", message.audio, ns) if topic == "/audio_stamped" else (topic, message, ns)

    found = read_bag(rewrite(bag, tmp_path / "plain", change))
    np.testing.assert_array_equal(in_one_piece(found, FRONT_END, 8)[0][:, : len(samples)], samples.T)
    assert found.duration_s == 7.0
    assert [event.onset_s for event in found.events] == pytest.approx([0.5, 1.5])


@pytest.mark.parametrize("stamp_ns", [START_NS, START_NS - 3600 * SECOND, 1])
def test_audio_whose_stamps_stand_still_is_placed_by_the_time_of_its_reception(bag, tmp_path, samples, stamp_ns):
    def change(topic, message, ns):
        still = topic == "/audio_stamped"
        return topic, shifted(message, stamp_ns - to_ns(message.header.stamp)) if still else message, ns

    found = read_bag(rewrite(bag, tmp_path / "still", change))
    assert found.duration_s == 7.0 and not found.notes
    assert [event.onset_s for event in found.events] == pytest.approx([0.5, 1.5])
    np.testing.assert_array_equal(in_one_piece(found, FRONT_END, 8)[0][:, : len(samples)], samples.T)
    got, said = windows(found)
    assert found.since_start(got[0].stamp_ns) == 0.0 and "the audio's stamps stand still" in " ".join(said)


def recorded(topic, message, ns):
    """As a robot records its audio: without a truth."""
    return (f"/robot{topic}", message, ns) if topic in ("/audio_stamped", "/audio_info") else None


def recorded_without_stamps(topic, message, ns):
    return ("/audio", message.audio, ns) if topic == "/audio_stamped" else None


def recorded_by_another_clock(topic, message, ns):
    return (topic, shifted(message, -START_NS), ns) if topic == "/audio_stamped" else None


def recorded_while_the_clock_was_set(topic, message, ns):
    if topic != "/audio_stamped":
        return None
    return topic, shifted(message, 3600 * SECOND) if ns - START_NS > 3 * SECOND else message, ns


@pytest.mark.parametrize("how", [recorded, recorded_without_stamps, recorded_by_another_clock,
                                 recorded_while_the_clock_was_set])
def test_a_recorded_bag_gets_a_truth_and_its_audio_stays_as_it_was_recorded(bag, storage, tmp_path, how):
    truth = (Event(1, 0.5, "bell", 0.5, 2.0), Event(2, -0.5, "dog_bark", 1.0, 4.5), Event(3, 3.0, "bell", 4.25, 1.0))
    before = read_bag(rewrite(bag, tmp_path / "before", how), n_channels=8)
    assert before.tells_its_format is (how is recorded)
    assert before.events is None
    label_bag(tmp_path / "labelled", before, truth, storage)
    found = read_bag(tmp_path / "labelled", n_channels=8)  # as who listens with the model's microphones
    assert [(event.id, event.azimuth, event.label) for event in found.events] == [
        (event.id, event.azimuth, event.label) for event in truth]
    assert [(event.onset_s, event.duration_s) for event in found.events] == [
        pytest.approx((event.onset_s, event.duration_s), abs=1e-6) for event in truth]
    assert list(found.recorded()) == list(before.recorded()) and found.heard_topics == before.heard_topics
    with Reader(tmp_path / "labelled") as reader:  # the truth was received while the audio was
        assert reader.duration / SECOND == pytest.approx(7, abs=0.1)
    other = (replace(truth[0], label="speech"),)
    label_bag(tmp_path / "again", found, other, storage)
    assert [event.label for event in read_bag(tmp_path / "again").events] == ["speech"]


def test_so_is_audio_of_a_few_long_messages_whose_stamps_stand_still(tmp_path, scene, samples):
    made = from_scene(scene)
    whole = np.concatenate(list(made.chunks))
    write_bag(tmp_path / "bag", replace(made, chunks=np.split(whole, 5)))

    def change(topic, message, ns):
        still = topic == "/audio_stamped"
        return topic, shifted(message, START_NS - to_ns(message.header.stamp)) if still else message, ns

    found = read_bag(rewrite(tmp_path / "bag", tmp_path / "still", change))
    assert (found.n_chunks, found.duration_s) == (5, 7.0)
    assert [event.onset_s for event in found.events] == pytest.approx([0.5, 1.5])
    np.testing.assert_array_equal(in_one_piece(found, FrontEnd(), 8)[0][:, : len(samples)], samples.T)


def test_whether_stamps_tell_the_time_is_asked_once_and_not_of_each_of_many_messages():
    asked = []

    class Chunks(list):
        def __iter__(self):
            asked.append(len(self))
            return super().__iter__()

    survey = _Survey(1, Chunks((n * SECOND // 10, 3200, None) for n in range(100)))
    assert len(_stretches(survey)) == 1 and len(asked) < 10


def test_audio_at_another_rate_is_resampled(tmp_path, scene, samples):
    soundfile.write(scene, np.repeat(samples, 3, axis=0), 3 * RATE, subtype="PCM_16")
    write_bag(tmp_path / "bag", from_scene(scene))
    found = read_bag(tmp_path / "bag")
    got, said = windows(found)
    assert found.duration_s == 7.0 and len(got) > 10 and "resampled" in said[0]
