"""The way through a run of sentence encoders: the same stages as `distill.tasks` has for models with a task head."""
