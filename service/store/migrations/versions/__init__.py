"""One module per step, named NNNN_what."""
