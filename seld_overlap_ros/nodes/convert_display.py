"""Sounds to what others show or take: markers, poses, and the messages of HARK."""

from __future__ import annotations

import array
import colorsys
import math
from collections.abc import Iterable, Sequence
from types import ModuleType

import numpy as np
from builtin_interfaces.msg import Duration
from geometry_msgs.msg import Point, Pose, PoseArray, Quaternion, Vector3
from seld_overlap.msg import SeparatedSource, SoundEvent, SoundEventArray
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import Marker, MarkerArray

from seld_overlap_ros.evaluation.events import Event, plain
from seld_overlap_ros.messages import SECOND, from_event, to_ns
from seld_overlap_ros.nodes.convert import to_header
from seld_overlap_ros.streaming.tracks import IDS_A_SECOND

ARROWS, TEXTS = "directions", "names"  # namespaces of the markers
LIFETIME_S = 10  # of a marker that nobody renews or deletes, as when its node is gone
INT32 = 2**31
INT16 = 2.0**15  # HARK's full scale


def window_end(message: SoundEventArray) -> Header:
    """Header with the end of the window, for what shows where the sounds are now."""
    end_ns = to_ns(message.header.stamp) + message.window.sec * SECOND + message.window.nanosec
    return to_header(end_ns, message.header.frame_id)


def sounding(message: SoundEventArray) -> tuple[list[SoundEvent], list[str]]:
    """The sounds that have not ended; and what is wrong with those that cannot be shown."""
    sounds, faults = [], []
    for event in message.events:
        if event.ended:
            continue
        try:
            from_event(event)
        except ValueError as error:
            faults.append(str(error))
        else:
            sounds.append(event)
    return sounds, faults


def to_poses(header: Header, sounds: Sequence[SoundEvent], radius: float) -> PoseArray:
    """Where the sounds are, in a circle of that radius [m] around the array; x points away from it."""
    return PoseArray(header=header, poses=[_pose(sound.azimuth, radius) for sound in sounds])


def to_markers(header: Header, sounds: Sequence[SoundEvent], gone: Iterable[int], radius: float) -> MarkerArray:
    """An arrow of length `radius` [m] and a text for each sound; those of the ids `gone` are deleted."""
    markers = [marker for sound in sounds for marker in _markers(header, from_event(sound), radius)]
    markers += [
        Marker(header=header, ns=namespace, id=number % INT32, action=Marker.DELETE)
        for number in gone
        for namespace in (ARROWS, TEXTS)
    ]
    return MarkerArray(markers=markers)


def _markers(header: Header, sound: Event, radius: float) -> tuple[Marker, Marker]:
    common = {"header": header, "id": sound.id % INT32, "lifetime": Duration(sec=LIFETIME_S), "color": _colour(sound)}
    share = "" if sound.label is None else f" {100 * sound.score:.0f} %"
    arrow = Marker(
        ns=ARROWS, type=Marker.ARROW, pose=_pose(sound.azimuth, 0.0),
        scale=Vector3(x=radius, y=0.06 * radius, z=0.06 * radius), **common,
    )
    text = Marker(
        ns=TEXTS, type=Marker.TEXT_VIEW_FACING, pose=_pose(sound.azimuth, 1.2 * radius),
        scale=Vector3(z=0.15 * radius), text=f"{plain(sound.label)}{share}\n#{sound.id % IDS_A_SECOND}", **common,
    )
    return arrow, text


def _pose(azimuth: float, distance: float) -> Pose:
    return Pose(
        position=Point(x=distance * math.cos(azimuth), y=distance * math.sin(azimuth)),
        orientation=Quaternion(z=math.sin(azimuth / 2), w=math.cos(azimuth / 2)),
    )


def _colour(sound: Event) -> ColorRGBA:
    """One of its own for each id, far from that of the next; grey for an unknown class."""
    hue = sound.id * (math.sqrt(5) - 1) / 2 % 1
    r, g, b = (0.6, 0.6, 0.6) if sound.label is None else colorsys.hsv_to_rgb(hue, 0.8, 1.0)
    return ColorRGBA(r=r, g=g, b=b, a=1.0)


def to_hark_source(header: Header, sounds: Sequence[SoundEvent], count: int, hark: ModuleType) -> object:
    """HarkSource of the sounds of one window, the count-th; `hark` is the module hark_msgs.msg.

    Azimuths are in degrees there; power is the probability of the direction, as there is no MUSIC spectrum here.
    """
    sources = [hark.HarkSourceVal(**_hark_place(sound)) for sound in sounds]
    return hark.HarkSource(header=header, count=count % INT32, exist_src_num=len(sources), src=sources)


def to_hark_src_wave(message: SeparatedSource, count: int, hark: ModuleType) -> object:
    """HarkSrcWave of one chunk of one sound, the count-th; samples are float32 in the range of int16 there.

    As in HARK, `data_bytes` counts two bytes a sample. Raises ValueError for an event that is none.
    """
    from_event(message.event)
    samples = (np.asarray(message.samples, np.float32) * np.float32(INT16)).astype(np.float32)
    source = hark.HarkSrcWaveVal(
        **_hark_place(message.event),
        length=len(samples),
        data_bytes=2 * len(samples),
        wavedata=array.array("f", samples.tobytes()),
    )
    return hark.HarkSrcWave(header=message.header, count=count % INT32, exist_src_num=1, src=[source])


def _hark_place(sound: SoundEvent) -> dict:
    return {
        "id": sound.id % INT32,
        "power": sound.direction_score,
        "x": math.cos(sound.azimuth),
        "y": math.sin(sound.azimuth),
        "z": 0.0,
        "azimuth": math.degrees(sound.azimuth),
        "elevation": 0.0,
    }
