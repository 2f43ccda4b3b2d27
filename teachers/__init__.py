"""Teachers: load any encoder, store what it says of each sentence."""
