"""AutoGAN's search space (Gong et al. 2019): cells of a generator, grown in three stages."""
