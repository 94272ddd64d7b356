"""Representations: the code that retrieval, SQL and the service share.

The rules by which names mean families, versions, relations and measures; the formats of stores on disk; and the
approximate index of vectors. Nothing here needs a JVM.
"""
