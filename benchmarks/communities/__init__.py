"""Measurements of communities beside Leiden, label propagation and SimClusters' own search."""
