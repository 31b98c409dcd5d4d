"""The adversarial trainer, its losses, averaged weights and health checks."""

from nasgan.contracts.trainer_settings import HealthSettings, TrainerSettings
from nasgan.training.charged import ChargedTrainer, SupernetTraining
from nasgan.training.trainer import AdversarialTrainer

__all__ = [
    "AdversarialTrainer",
    "ChargedTrainer",
    "HealthSettings",
    "SupernetTraining",
    "TrainerSettings",
]
