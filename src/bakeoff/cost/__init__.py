"""What a candidate costs: counted exactly, and measured by turns in processes of its own."""

from __future__ import annotations

from bakeoff.cost.counts import PASSES, LayerCount, buffers, layers, macs, parameters, train_macs, trainable

__all__ = ["PASSES", "LayerCount", "buffers", "layers", "macs", "parameters", "train_macs", "trainable"]
