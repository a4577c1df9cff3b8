"""From feature columns to the float32 matrix: impute, log1p, scale, clip, weigh; saved and replayed."""
