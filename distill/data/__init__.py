"""Text in: sources, cleaning and splits, token ids, batches."""
