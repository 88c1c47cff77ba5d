"""The paper's three stages: single networks, overlapping pairs, and the whole (PyTorch Lightning)."""
