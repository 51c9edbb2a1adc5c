"""Results as plain values, for JSON."""

from __future__ import annotations

import dataclasses
import math
from enum import Enum
from typing import Any


def plain(value: Any) -> Any:
    """Return a result of dataclasses, mappings and sequences as dictionaries and lists; what is not finite becomes None."""
    if dataclasses.is_dataclass(value):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, Enum):
        return value.value
    return None if isinstance(value, float) and not math.isfinite(value) else value
