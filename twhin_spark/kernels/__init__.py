"""The mathematics of training and ranking in plain NumPy: nothing here knows Spark, files or configuration."""
