from __future__ import annotations

from installed_plugins import install  # noqa: F401 - a fixture of several files
