"""Several processes that answer on one port: what they share, and who starts them again."""
