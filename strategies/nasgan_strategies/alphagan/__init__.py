"""AlphaGAN: architectures by the gradient of the duality gap (Tian et al. 2021)."""
