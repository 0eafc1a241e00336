"""Peak memory: predicted without a GPU, measured on one, and capped. Takes callables, knows no model."""
