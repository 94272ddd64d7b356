"""Representations: what SQL and the service share of published tables, similarity measures and indexes."""
