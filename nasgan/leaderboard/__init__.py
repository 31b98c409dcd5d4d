"""Tables made of run records: rows over seeds, ranks, comparisons. Imports no torch."""
