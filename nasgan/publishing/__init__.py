"""Results to give away, and whether what was given away says what its records say."""
