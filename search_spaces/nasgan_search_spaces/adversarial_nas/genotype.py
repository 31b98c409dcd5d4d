"""The published genotype matrices: one row per cell, one column per edge, operations by index."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from nasgan.architecture import Decision
from nasgan.errors import ArchitectureError

__all__ = ["read_matrix", "write_matrix"]

_COLUMNS = 7


def read_matrix(matrix: object, decisions: Sequence[Decision], what: str) -> list[str]:
    """The option of each of ``decisions`` in a genotype matrix.

    Args:
        matrix: whole numbers, one row of 7 per cell: nested lists or an array.
        decisions: those of the rows, in order.
        what: names the matrix in errors.

    Raises:
        ArchitectureError: not whole numbers, another shape, or an index without an operation.
    """
    rows = len(decisions) // _COLUMNS
    try:
        array = np.asarray(matrix)
    except ValueError as error:
        raise ArchitectureError(f"{what}: not a matrix: {error}") from error
    if array.shape != (rows, _COLUMNS):
        raise ArchitectureError(
            f"{what}: a matrix of {rows} cells x {_COLUMNS} edges is needed, got shape "
            f"{array.shape}"
        )
    if not np.issubdtype(array.dtype, np.integer):
        raise ArchitectureError(f"{what}: whole numbers are needed, got {array.dtype}")
    options = []
    for k, (decision, index) in enumerate(zip(decisions, array.flatten().tolist(), strict=True)):
        if not 0 <= index < len(decision.options):
            listed = ", ".join(f"{i} = {name}" for i, name in enumerate(decision.options))
            raise ArchitectureError(
                f"{what}: row {k // _COLUMNS}, column {k % _COLUMNS} (edge {decision.name}) holds "
                f"operation {index}, which this version does not have: {listed}. Matrices of other "
                f"versions number their operations differently"
            )
        options.append(decision.options[index])
    return options


def write_matrix(indices: Sequence[int]) -> npt.NDArray[np.uint8]:
    """The genotype matrix (cells, 7) of option indices in order."""
    return np.array(indices, dtype=np.uint8).reshape(-1, _COLUMNS)
