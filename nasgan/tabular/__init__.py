"""Tables: many architectures trained at several seeds, with their whole curves, in one file.

Nothing is imported here, so that reading a table stays light.
"""
