"""graph → trained run: partitions, groups, rounds, state."""
