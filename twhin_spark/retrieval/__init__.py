"""Retrieval: a published version → for each source the targets that score highest, in the table `candidates`."""
