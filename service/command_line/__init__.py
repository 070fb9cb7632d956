"""The command line: what each command takes, and the one call that it makes. What a command needs is imported by it."""
