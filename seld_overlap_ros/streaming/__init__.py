"""From bytes that arrive to analysis windows, and from the sounds of windows to events. No ROS in here."""
