"""Samplers and pruners of Optuna."""
