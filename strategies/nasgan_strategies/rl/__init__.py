"""Search by reinforcement learning (AutoGAN, Gong et al. 2019; AGAN, Wang & Huan 2019)."""
