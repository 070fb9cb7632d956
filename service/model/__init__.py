"""What makes lists, and what an activation replaces: the loaded bundle with its encoder and index."""
