"""The message types of a bag: the project's own from its msg/ files, and those that every ROS 2 has."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from rosbags.interfaces import Connection, MessageDefinitionFormat
from rosbags.typesys import Stores, get_types_from_idl, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

TRUTH_TYPE = "seld_overlap/msg/SoundEventArray"
STEMS_TYPE = "seld_overlap/msg/SeparatedSource"
INFO_TYPE = "audio_common_msgs/msg/AudioInfo"
SOURCES = Path(__file__).parents[2]
FOLDERS = {"seld_overlap": SOURCES / "msg", "audio_common_msgs": SOURCES / "interfaces" / "audio_common_msgs" / "msg"}


def definitions() -> dict[str, str]:
    """Name of each message type of the project, such as TRUTH_TYPE -> its definition. Raises FileNotFoundError."""
    return {f"{package}/msg/{path.stem}": path.read_text(encoding="utf-8")
            for package in FOLDERS for path in sorted(_folder(package).glob("*.msg"))}


def _folder(package: str) -> Path:
    """Where setup.py puts the definitions of a package, where they are in the sources, or where colcon puts them."""
    prefixes = os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep)
    places = [Path(__file__).parent / "msg" / package, FOLDERS[package],
              *(Path(prefix) / "share" / "seld_overlap" / "definitions" / package for prefix in prefixes)]
    for place in places:
        if place.is_dir():
            return place
    raise FileNotFoundError(f"no message definitions of {package} here: source the workspace of seld_overlap, or "
                            "install it again")


def type_store(connections: Sequence[Connection] = ()) -> Typestore:
    """All types that these topics of a bag need: as the bag defines them, and else as they are known here."""
    store = get_typestore(Stores.ROS2_JAZZY)
    for connection in connections:
        form, text = connection.msgdef
        if form is MessageDefinitionFormat.MSG:
            _add(store, get_types_from_msg(text, connection.msgtype))
        elif form is MessageDefinitionFormat.IDL:
            _add(store, get_types_from_idl(text))
    for name, text in definitions().items():
        _add(store, get_types_from_msg(text, name))
    return store


def _add(store: Typestore, types: dict) -> None:
    store.register({name: fields for name, fields in types.items() if name not in store.fielddefs})
