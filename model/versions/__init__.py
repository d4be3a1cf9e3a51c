"""The model versions that ship with the node, one folder each; `model.weights` opens them."""
