"""What was heard, kept and held against the truth: recording, matching and the page that shows both. No ROS."""
