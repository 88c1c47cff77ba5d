"""Rosbags without ROS: scenes to bags, and bags to windows and true events."""
