"""What sounds look like to RViz, to those who take poses, and to HARK."""

import math
from dataclasses import make_dataclass
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not here")

from builtin_interfaces.msg import Duration
from seld_overlap.msg import ClassHypothesis, SeparatedSource, SoundEvent, SoundEventArray
from visualization_msgs.msg import Marker

from seld_overlap_ros.nodes.convert import to_header, to_ns
from seld_overlap_ros.nodes.convert_display import (
    sounding,
    to_hark_source,
    to_hark_src_wave,
    to_markers,
    to_poses,
    window_end,
)

# hark_msgs in ROS 1, as shared with its users: a 1:1 port has the same fields
PLACE = "id power x y z azimuth elevation"
HARK = SimpleNamespace(**{name: make_dataclass(name, fields.split()) for name, fields in {
    "HarkSource": "header count exist_src_num src",
    "HarkSourceVal": PLACE,
    "HarkSrcWave": "header count exist_src_num src",
    "HarkSrcWaveVal": f"{PLACE} length data_bytes wavedata",
}.items()})
HEADER = to_header(1_700_000_000_250_000_000, "head")


def sound(number=7, azimuth=math.pi / 2, label="dog_bark", **fields) -> SoundEvent:
    return SoundEvent(id=number, azimuth=azimuth, hypotheses=[ClassHypothesis(label=label, score=0.75)],
                      direction_score=0.5, **fields)


def test_an_arrow_points_to_the_sound_and_a_text_names_it():
    arrow, text = to_markers(HEADER, [sound()], (), radius=2.0).markers
    assert (arrow.type, text.type) == (Marker.ARROW, Marker.TEXT_VIEW_FACING)
    assert arrow.header == text.header == HEADER
    assert arrow.action == text.action == Marker.ADD
    assert (arrow.ns, arrow.id) != (text.ns, text.id)
    assert (arrow.pose.position.x, arrow.pose.position.y) == (0, 0)
    assert (arrow.pose.orientation.z, arrow.pose.orientation.w) == pytest.approx((math.sqrt(0.5), math.sqrt(0.5)))
    assert arrow.scale.x == 2.0
    assert text.text == "dog bark 75 %\n#7"
    assert text.pose.position.x == pytest.approx(0, abs=1e-6) and text.pose.position.y > 2.0
    assert arrow.color.a == text.color.a == 1.0
    assert arrow.lifetime.sec > 4  # the longest hop, or it would vanish in between


def test_a_sound_of_unknown_class_is_grey_and_says_so():
    arrow, text = to_markers(HEADER, [sound(unknown=True)], (), 1.0).markers
    assert text.text == "unknown\n#7"
    assert arrow.color.r == arrow.color.g == arrow.color.b


def test_neighbours_differ_in_colour_and_a_sound_keeps_its_own():
    colours = [to_markers(HEADER, [sound(n)], (), 1.0).markers[0].color for n in (1, 2, 1)]
    assert colours[0] == colours[2] != colours[1]


def test_those_that_are_gone_are_deleted():
    shown = to_markers(HEADER, [sound(7)], (), 1.0).markers
    deleted = to_markers(HEADER, [], [7], 1.0).markers
    assert all(marker.action == Marker.DELETE for marker in deleted)
    assert {(m.ns, m.id) for m in deleted} == {(m.ns, m.id) for m in shown}


def test_an_id_that_a_marker_cannot_hold_is_wrapped():
    assert all(0 <= marker.id < 2**31 for marker in to_markers(HEADER, [sound(2**40 + 3)], [2**63], 1.0).markers)


def test_poses_stand_in_a_circle_and_face_away():
    poses = to_poses(HEADER, [sound(azimuth=math.pi), sound(azimuth=-math.pi / 2)], 3.0)
    assert poses.header == HEADER
    places = [(pose.position.x, pose.position.y, pose.position.z) for pose in poses.poses]
    np.testing.assert_allclose(places, [(-3, 0, 0), (0, -3, 0)], atol=1e-6)
    yaws = [2 * math.atan2(pose.orientation.z, pose.orientation.w) for pose in poses.poses]
    np.testing.assert_allclose(yaws, [math.pi, -math.pi / 2], atol=1e-6)


def test_they_are_stamped_with_the_end_of_the_window():
    message = SoundEventArray(header=HEADER, window=Duration(sec=4, nanosec=112_000_000))
    assert to_ns(window_end(message).stamp) == to_ns(HEADER.stamp) + 4_112_000_000
    assert window_end(message).frame_id == "head"


def test_only_what_sounds_is_shown_and_what_makes_no_sense_is_named():
    message = SoundEventArray(events=[
        sound(1), sound(2, ended=True), SoundEvent(id=3), sound(4, azimuth=math.nan)], ended=[sound(2, ended=True)])
    sounds, faults = sounding(message)
    assert [event.id for event in sounds] == [1]
    assert len(faults) == 2 and "sound 3 names no class" in faults[0] and "finite" in faults[1]


def test_hark_gets_degrees_and_unit_vectors():
    message = to_hark_source(HEADER, [sound(7, -math.pi / 4), sound(8, math.pi)], 5, HARK)
    assert (message.header, message.count, message.exist_src_num) == (HEADER, 5, 2)
    first, second = message.src
    assert (first.id, first.azimuth, first.elevation) == (7, pytest.approx(-45), 0)
    assert (first.x, first.y, first.z) == pytest.approx((math.sqrt(0.5), -math.sqrt(0.5), 0))
    assert first.power == 0.5
    assert second.azimuth == pytest.approx(180)


def test_a_sound_that_is_nowhere_is_no_wave():
    with pytest.raises(ValueError, match="finite"):
        to_hark_src_wave(SeparatedSource(header=HEADER, event=sound(azimuth=math.inf)), 0, HARK)


def test_hark_gets_samples_in_the_range_of_16_bits():
    samples = np.array([0.0, 0.5, -1.0], np.float32)
    message = to_hark_src_wave(SeparatedSource(header=HEADER, event=sound(7), samples=samples), 3, HARK)
    [source] = message.src
    assert (message.header, message.count, message.exist_src_num) == (HEADER, 3, 1)
    assert (source.id, source.azimuth, source.length, source.data_bytes) == (7, pytest.approx(90), 3, 6)
    np.testing.assert_allclose(source.wavedata, [0, 16384, -32768])
