"""The Hydra configurations of nasgan; installed as ``nasgan.conf`` (Hydra wants a package)."""
