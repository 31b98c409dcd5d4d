"""The contracts: what the author of a strategy, a search space or an evaluator imports."""

from nasgan.architecture import Architecture, Decision, Part
from nasgan.contracts.ask_tell import AskTellStrategy, SupernetPaths, option_frequencies
from nasgan.contracts.budget import Budget, Cost, Ledger, rung_lengths
from nasgan.contracts.candidates import (
    CandidateSearch,
    Constraints,
    DiscriminatorSizes,
    GeneratorSizes,
    SizeConstraints,
)
from nasgan.contracts.evaluation import (
    Breakdown,
    Evaluation,
    EvaluationTask,
    Evaluator,
    Objective,
    OnePieceTask,
    Proposal,
    SimpleEvaluator,
)
from nasgan.contracts.narrowing import narrowed
from nasgan.contracts.run import EvaluationPool, SearchRun, held_out_images
from nasgan.contracts.search_space import HalfWeights, NetworkSettings, SearchSpace
from nasgan.contracts.strategy import SearchStrategy, StepReport
from nasgan.contracts.supernet import (
    Supernet,
    check_weights,
    chosen_option,
    inherit_weights,
    mix_options,
)
from nasgan.contracts.trainer_settings import (
    AdversarialLoss,
    Augmentation,
    HealthSettings,
    TrainerSettings,
)
from nasgan.contracts.training import (
    DrawnWeights,
    NetworkPair,
    PairWeights,
    RealImages,
    SharedWeights,
    StepLosses,
    Trainer,
    TrainingSteps,
)
from nasgan.graph import Edge, Graph, Node

__all__ = [
    "AdversarialLoss",
    "Architecture",
    "AskTellStrategy",
    "Augmentation",
    "Breakdown",
    "Budget",
    "CandidateSearch",
    "Constraints",
    "Cost",
    "Decision",
    "DiscriminatorSizes",
    "DrawnWeights",
    "Edge",
    "Evaluation",
    "EvaluationPool",
    "EvaluationTask",
    "Evaluator",
    "GeneratorSizes",
    "Graph",
    "HalfWeights",
    "HealthSettings",
    "Ledger",
    "NetworkPair",
    "NetworkSettings",
    "Node",
    "Objective",
    "OnePieceTask",
    "PairWeights",
    "Part",
    "Proposal",
    "RealImages",
    "SearchRun",
    "SearchSpace",
    "SearchStrategy",
    "SharedWeights",
    "SimpleEvaluator",
    "SizeConstraints",
    "StepLosses",
    "StepReport",
    "Supernet",
    "SupernetPaths",
    "Trainer",
    "TrainerSettings",
    "TrainingSteps",
    "check_weights",
    "chosen_option",
    "held_out_images",
    "inherit_weights",
    "mix_options",
    "narrowed",
    "option_frequencies",
    "rung_lengths",
]
