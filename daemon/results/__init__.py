"""Pure builders of result objects: film header and reading in, data set out."""
