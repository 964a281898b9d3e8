"""Boxes, anchors and crops: pure mathematics for NumPy and JAX arrays alike."""
