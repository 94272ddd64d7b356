"""From raw logs to events: read → clean → quarantine."""
