"""The log of a run: its few events, for the file in its folder.

The terminal does not show them; it has the progress view, messages and the result.
"""

from __future__ import annotations

import logging

__all__ = ["run_log"]

run_log = logging.getLogger("nasgan.run")
"""Its name stands in ``conf/hydra/job_logging/run.yaml``, which keeps it off the terminal."""
