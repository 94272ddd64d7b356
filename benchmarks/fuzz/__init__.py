"""Fuzzing of the logs: is every row of a thousand accounted for, and every id one that was written."""
