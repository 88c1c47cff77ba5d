"""From samples to what the networks see, and back. NumPy and SciPy only."""
