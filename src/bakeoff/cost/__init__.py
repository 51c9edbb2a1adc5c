"""What a candidate costs: counted exactly, and measured by turns in processes of its own."""

from __future__ import annotations

from bakeoff.cost.counts import LayerCount, buffers, layers, macs, parameters, train_macs, trainable

__all__ = ["LayerCount", "buffers", "layers", "macs", "parameters", "train_macs", "trainable"]
