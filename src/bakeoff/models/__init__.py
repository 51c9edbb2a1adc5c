"""Networks by name, fitted to the pictures' size and number of classes."""

from __future__ import annotations

from bakeoff.models.build import Built, build, check_early_size
from bakeoff.models.small_input import last_map_side
from bakeoff.models.zoo import ModelInfo, available, check_name

__all__ = ["Built", "ModelInfo", "available", "build", "check_early_size", "check_name", "last_map_side"]
