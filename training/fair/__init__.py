"""Fair models: they split the frozen base's user vectors into parts and combine the parts that a mask leaves."""
