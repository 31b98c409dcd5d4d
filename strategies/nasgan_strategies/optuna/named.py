"""Optuna's samplers and pruners by name."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from types import ModuleType
from typing import Any

from nasgan.errors import ConfigError, MissingDependencyError, UnknownNameError

__all__ = ["counts_options", "pruner_named", "require_optuna", "sampler_named"]

# It knows one objective alone.
_CMA = "cmaes"
# They know numbers alone: options are counted, in the order of the space's encoding.
_OF_NUMBERS = (_CMA, "qmc")
# It goes through the whole space, and then ends the study itself.
_OF_ALL = "bruteforce"


def require_optuna(sampler: str) -> None:
    """Refuse to go on without the packages that are to be used.

    Raises:
        MissingDependencyError: says how to get it.
    """
    for package in ("optuna", "cmaes") if _key(sampler) == _CMA else ("optuna",):
        if find_spec(package) is None:
            raise MissingDependencyError(
                f"strategy.sampler={sampler} needs the package {package}, which is not installed: "
                "pip install nasgan[optuna]"
            )


def counts_options(sampler: str) -> bool:
    """Whether options are numbers to this sampler, and not names."""
    return _key(sampler) in _OF_NUMBERS


def sampler_named(
    name: str, settings: Mapping[str, Any], *, seed: int, objectives: int
) -> Callable[[], Any]:
    """What makes the sampler.

    Raises:
        ConfigError: there is none of this name, it takes no such settings, or one objective alone.
    """
    import optuna

    if _key(name) == _OF_ALL:
        raise ConfigError(
            f"strategy.sampler={name} goes through every architecture, which is no search: "
            "nasgan tabulate design.kind=all trains them all"
        )
    if objectives > 1 and _key(name) == _CMA:
        raise ConfigError(
            f"strategy.sampler={name} searches by one objective, and there are {objectives}; take "
            "tpe, gp, nsgaii or nsgaiii"
        )
    own = {"seed": seed, **({"constant_liar": True} if _key(name) == "tpe" else {})}
    return _maker(optuna.samplers, "Sampler", name, {**own, **settings})


def pruner_named(
    name: str | None, settings: Mapping[str, Any], *, factor: int, rungs: int
) -> Callable[[], Any]:
    """What makes the pruner; the resource of rung k is ``factor ** k``.

    Raises:
        ConfigError: there is none of this name, or it takes no such settings.
    """
    import optuna

    own: dict[str, Any] = {}
    if name is not None and _key(name) in ("hyperband", "successivehalving"):
        own = {"min_resource": 1, "reduction_factor": factor}
        if _key(name) == "hyperband":
            own["max_resource"] = factor ** (rungs - 1)
    return _maker(optuna.pruners, "Pruner", name or "nop", {**own, **settings})


def _key(name: str) -> str:
    """``TPESampler`` is ``tpe``, ``cma_es`` is ``cmaes``."""
    plain = name.replace("_", "").replace("-", "").lower()
    return plain.removesuffix("sampler").removesuffix("pruner")


def _maker(
    module: ModuleType, kind: str, name: str, settings: Mapping[str, Any]
) -> Callable[[], Any]:
    classes = [getattr(module, each) for each in module.__all__ if each.endswith(kind)]
    there = {_key(each.__name__): each for each in classes if not inspect.isabstract(each)}
    if _key(name) not in there:
        raise UnknownNameError(f"{kind.lower()} of Optuna", name, there)

    def make() -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that something is experimental
            return there[_key(name)](**settings)

    try:
        make()
    except (TypeError, ValueError) as error:
        raise ConfigError(f"strategy.{kind.lower()}={name}: {error}") from error
    return make
