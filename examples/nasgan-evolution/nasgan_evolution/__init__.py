"""Regularised evolution for nasgan."""
