"""Published representations in Spark: score columns, SQL functions and views, and clusters of content."""
