"""Which settings of a run say only where and how it is done."""

from __future__ import annotations

__all__ = ["BESIDE_THE_RESULT", "FREE_ON_RESUME"]

FREE_ON_RESUME = frozenset(
    {
        "checkpoint",
        "executor",
        "logger",
        "output_root",
        "progress",
        "retry_failed",
        "run_dir",
        "tuning_budget",
    }
)
"""May change when a run is resumed: they do not change what it computes."""

BESIDE_THE_RESULT = FREE_ON_RESUME | {"device", "seed", "threads"}
"""May differ between the runs of one experiment: where and how, not what is asked."""
