"""Random search, with and without weight sharing."""
