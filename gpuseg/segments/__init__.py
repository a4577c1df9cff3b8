"""From clusters to segments: the model, stable ids, cards and names."""
