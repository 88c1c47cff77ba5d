"""Sound event localization, separation and classification for a robot's microphone array.

Shape letters everywhere, time last: B batch, M microphones, F bins, T frames, K sources, D directions, C classes.
Radians, metres, seconds and REP 103 axes inside; degrees only for people.
"""

__version__ = "0.1.0"
