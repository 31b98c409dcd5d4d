"""The architecture that AdversarialNAS ships (Gao et al. 2020, table 1), of its generator alone.

No discriminator was published: its generator is trained against AutoGAN's.
"""

from __future__ import annotations

from nasgan.architecture import Architecture
from nasgan_search_spaces.adversarial_nas.decisions import NAME, VERSION, generator_decisions

__all__ = ["ADVERSARIALNAS"]

_GENOTYPE = (
    (1, 1, 1, 0, 3, 3, 1),
    (1, 1, 0, 1, 3, 3, 3),
    (0, 1, 0, 3, 3, 0, 3),
)

_COLUMNS = [index for row in _GENOTYPE for index in row]

ADVERSARIALNAS = Architecture(
    NAME,
    VERSION,
    tuple((d.name, d.options[k]) for d, k in zip(generator_decisions(), _COLUMNS, strict=True)),
)
