"""Which image classifier should I use for these pictures, and what will it cost me?"""

from __future__ import annotations

__version__ = "0.1.0"
