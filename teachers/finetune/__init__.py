"""Training a sentence encoder on labelled pairs, triplets or plain sentences, before it teaches anybody."""
