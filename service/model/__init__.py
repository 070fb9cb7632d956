"""Makes lists: the loaded bundle with its encoder and index, and the activation that replaces them."""
