"""The way through a labelled task: the same stages as `distill.pipeline`, for models with a task head."""
