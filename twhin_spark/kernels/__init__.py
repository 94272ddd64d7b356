"""Mathematics of training, ranking and scoring in plain NumPy, without Spark, files or configuration."""
