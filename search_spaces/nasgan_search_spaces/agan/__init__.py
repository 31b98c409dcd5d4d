"""AGAN's search space (Wang & Huan 2019), reconstructed: three types of modules."""
