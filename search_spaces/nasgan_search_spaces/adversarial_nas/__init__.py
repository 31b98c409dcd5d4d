"""AdversarialNAS' search space (Gao et al. 2020): cells of a generator and a discriminator."""
