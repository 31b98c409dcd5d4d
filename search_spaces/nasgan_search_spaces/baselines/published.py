"""The hand-crafted pairs: DCGAN (Radford et al. 2016) and SNGAN (Miyato et al. 2018)."""

from __future__ import annotations

from nasgan_search_spaces.baselines.decisions import pair

__all__ = ["DCGAN", "SNGAN"]

DCGAN = pair("dcgan")
SNGAN = pair("sngan")
