"""The Representation Manager and the Representation Scorer over published versions; no JVM.

`store` answers which vector an entity has, `scorer`, `signals` and `ranking` how close entities are; `web` is both over
HTTP.
"""
