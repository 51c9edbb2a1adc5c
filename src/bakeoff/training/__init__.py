"""Training one run: the loop, its optimizers and precision, its checkpoints and predictions."""
