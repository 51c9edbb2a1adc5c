"""Convolutions that choose their algorithm by measuring: per layer, per pass, for this machine.

What cuDNN's benchmark mode does on a GPU, for the CPU. `tune` measures a network's layers and chooses; `install` puts
the choice into a network under an unchanged `state_dict`. Each algorithm has a file of its own.
"""

from bakeoff.training.convolution.algorithm import remark
from bakeoff.training.convolution.choice import Layer, Timings, choose, layers_of, recall, tune
from bakeoff.training.convolution.geometry import Geometry, Pass
from bakeoff.training.convolution.joined import join, joinable
from bakeoff.training.convolution.layer import (
    cut_alike,
    install,
    library_for_all,
    load_state,
    named_parameters,
    saved_state,
)

__all__ = [
    "Geometry",
    "Layer",
    "Pass",
    "Timings",
    "choose",
    "cut_alike",
    "install",
    "join",
    "joinable",
    "layers_of",
    "library_for_all",
    "load_state",
    "named_parameters",
    "recall",
    "remark",
    "saved_state",
    "tune",
]
