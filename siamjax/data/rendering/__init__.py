"""Rendered sequences: textures, sprites, backgrounds, trajectories, scenes."""
