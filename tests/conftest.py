"""That this file is here puts its folder on the path: helpers beside it serve all tests."""

from __future__ import annotations

import signal

# A suite that a shell has begun in the background ignores Ctrl-C, and so would what it starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
