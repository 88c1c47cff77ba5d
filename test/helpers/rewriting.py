"""Bags changed message by message."""

from rosbags.rosbag2 import Reader, StoragePlugin, Writer

from seld_overlap_ros.bags.definitions import type_store


def rewrite(path, into, change, mute=""):
    """Another bag with what `change(topic, message, ns)` makes of a message: (topic, message, ns), several or None.

    The topic `mute` is there, and has no messages.
    """
    with Reader(path) as reader, Writer(into, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        store, connections = type_store(reader.connections), {}
        for connection in (one for one in reader.connections if one.topic == mute):
            writer.add_connection(mute, connection.msgtype, typestore=store)
        for connection, ns, raw in reader.messages(one for one in reader.connections if one.topic != mute):
            changed = change(connection.topic, store.deserialize_cdr(raw, connection.msgtype), ns)
            for topic, message, ns in changed if isinstance(changed, list) else [changed] if changed else []:
                kind = message.__msgtype__
                if topic not in connections:
                    connections[topic] = writer.add_connection(topic, kind, typestore=store)
                writer.write(connections[topic], ns, store.serialize_cdr(message, kind))
    return into
