"""From events to the graph: aggregate → index → bucket."""
