"""That this file is here puts its folder on the path: helpers beside it serve all tests."""

from __future__ import annotations

import os
import signal

# Before torch is imported. Tests run side by side: where threads are more than cores, each waits in
# a loop for the others, and small networks take tens of times as long.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A suite that a shell has begun in the background ignores Ctrl-C, and so would what it starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
