"""What a comparison rests on: intervals, differences, power, the luck of selection. Pure functions on arrays.

Accuracies and differences are shares in [0, 1]; a percentage point is 0.01. Per-picture results are arrays of shape
(seeds, pictures), True where the network of that seed was right.
"""
