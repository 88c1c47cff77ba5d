"""From samples to what the networks see, and back. NumPy only."""
