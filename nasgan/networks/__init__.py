"""Layers and fixed networks that several search spaces use."""
