"""A scene of six seconds with two sounds."""

RATE = 16000
SECONDS = 6
SOUNDS = [  # as a truth says them
    {"id": 1, "label": "dog_bark", "azimuth_deg": 92.0, "onset_s": 0.5, "duration_s": 1.25},
    {"id": 4, "label": "speech", "azimuth_deg": -43.0, "onset_s": 1.5, "duration_s": 3.0},
]
