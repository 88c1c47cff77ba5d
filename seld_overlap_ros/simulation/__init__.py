"""Labelled scenes for a microphone array: rooms, diffuse noise, mixtures, and a store for many of them."""
