"""Planning: the groups, the memory and the seconds of a run, before it runs. It imports `state` alone."""
