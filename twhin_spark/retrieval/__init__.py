"""Retrieval: for each source the targets of a published version that score highest, in the table `candidates`."""
