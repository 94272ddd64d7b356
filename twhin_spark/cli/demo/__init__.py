"""A planted data set, and what a person does with the model of it."""
