"""Pieces of work in other processes: who does what, what is done again, and by whose fault."""

from nasgan.supervisor.here import Here
from nasgan.supervisor.pieces import (
    BusyError,
    Message,
    Piece,
    PieceError,
    report_progress,
)
from nasgan.supervisor.places import Places
from nasgan.supervisor.slots import Slots
from nasgan.supervisor.supervisor import Outcome, Retries, Supervisor, Work, results_of

__all__ = [
    "BusyError",
    "Here",
    "Message",
    "Outcome",
    "Piece",
    "PieceError",
    "Places",
    "Retries",
    "Slots",
    "Supervisor",
    "Work",
    "report_progress",
    "results_of",
]
