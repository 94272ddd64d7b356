"""The Representation Manager and the Representation Scorer over published versions, without a JVM.

`store` reads representations, `neighbours` finds similar entities, `scorer`, `signal_features` and `weighted_ranker`
score entities, and `web` serves all of it over HTTP.
"""
