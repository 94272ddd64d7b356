"""Planning: groups, memory and seconds of a run, before it runs."""
