"""From files, or from a generator, to one frozen `Dataset`."""
