"""Published model versions in Spark: which version a name means, its vectors and its relations."""
