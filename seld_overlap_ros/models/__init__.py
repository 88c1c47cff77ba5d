"""The networks: SSL, SSS, SSC, the gate, their union, and the checkpoint that carries them."""
