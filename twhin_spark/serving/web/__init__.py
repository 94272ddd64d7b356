"""The HTTP service of the Representation Manager and the Representation Scorer."""
