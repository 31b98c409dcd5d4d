"""Zero-cost proxies: what untrained networks tell about architectures."""

from nasgan.evaluation.zero_cost.evaluator import ZeroCostEvaluator
from nasgan.evaluation.zero_cost.proxies import PROXIES, Proxy, measured
from nasgan.evaluation.zero_cost.untrained import Half, Inputs, Untrained

__all__ = ["PROXIES", "Half", "Inputs", "Proxy", "Untrained", "ZeroCostEvaluator", "measured"]
