"""The ROS nodes. Each is thin: message to array, one call into the library, array to message."""
