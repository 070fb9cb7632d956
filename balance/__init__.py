"""Re-rankers towards a target over item groups: arrays in, order out. No web, no store, no torch."""
