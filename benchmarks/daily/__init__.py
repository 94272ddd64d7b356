"""The second day: five chained versions, what each way of retraining costs, and what consumers of version 1 lose."""
