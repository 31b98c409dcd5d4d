"""AdversarialNAS: search of both networks' architectures by gradient (Gao et al. 2020)."""
