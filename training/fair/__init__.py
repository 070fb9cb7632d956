"""Fair models: they split the frozen base's user vectors into parts and combine what a mask leaves."""
