"""Communities of producers by SimClusters, and the sparse representations of consumers, producers and items."""
