"""Small C kernels, compiled on first use; without a compiler all works, only slower."""
