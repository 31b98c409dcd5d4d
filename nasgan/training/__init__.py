"""The adversarial trainer, its losses, averaged weights and health checks."""

from nasgan.contracts.trainer_settings import HealthSettings, TrainerSettings
from nasgan.training.shared import SupernetTraining
from nasgan.training.trainer import AdversarialTrainer, NetworkPair

__all__ = [
    "AdversarialTrainer",
    "HealthSettings",
    "NetworkPair",
    "SupernetTraining",
    "TrainerSettings",
]
