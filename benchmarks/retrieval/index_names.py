"""Names of indexes that the retrieval records and their page give a meaning to."""

EXACT = "exact"
OURS = "ours: faiss IVF, PQ 16x"
PQ = "faiss PQ 16x"
