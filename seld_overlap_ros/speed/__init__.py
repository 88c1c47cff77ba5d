"""How fast it is, beside PyTorch, beside what the machine can do, and beside what a user would pick instead."""
