"""The command line: one small module per verb. Nothing here imports torch before work starts."""
