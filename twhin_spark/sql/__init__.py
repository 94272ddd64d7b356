"""Published vectors in Spark: score columns, SQL functions and views, clusters that describe content."""
