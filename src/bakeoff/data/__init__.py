"""Pictures in, batches out: sources, splits, views.

What needs torch (`view`, `batches`) is imported from its own module, so that decoding processes start quickly.
"""

from __future__ import annotations

from bakeoff.data.cache import open_cached
from bakeoff.data.dataset import Dataset, Pictures
from bakeoff.data.inspect import DataReport, inspect_source
from bakeoff.data.sources import KNOWN_SOURCES, prepare
from bakeoff.data.splits import split_validation, stratified_subset

__all__ = [
    "KNOWN_SOURCES",
    "DataReport",
    "Dataset",
    "Pictures",
    "inspect_source",
    "open_cached",
    "prepare",
    "split_validation",
    "stratified_subset",
]
