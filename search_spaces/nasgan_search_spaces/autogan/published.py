"""AutoGAN's three published architectures, decoded from the authors' definitions.

All are pre-activation with every skip on. A is the paper's top-1 (README and derivation script); B
and C are presumably its top-2 and top-3, in the order of their names.
"""

from __future__ import annotations

from nasgan_search_spaces.autogan.decisions import encoded

__all__ = ["AUTOGAN_A", "AUTOGAN_B", "AUTOGAN_C"]

AUTOGAN_A = encoded([1, 0, 1, 1, 1, 0, 0, 1, 1, 1, 0, 1, 0, 3])
AUTOGAN_B = encoded([1, 0, 1, 1, 1, 0, 1, 1, 1, 1, 0, 1, 1, 3])
AUTOGAN_C = encoded([1, 1, 1, 1, 1, 0, 0, 1, 1, 1, 0, 1, 0, 3])
