"""The Spark session, the schemas and the Delta tables: what every stage reads and writes through."""
