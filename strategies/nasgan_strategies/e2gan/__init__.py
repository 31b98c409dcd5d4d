"""E2GAN: off-policy reinforcement learning, cell by cell (Tian et al. 2020)."""
