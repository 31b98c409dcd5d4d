"""Hand-crafted pairs as a search space of their own: DCGAN and SNGAN."""
