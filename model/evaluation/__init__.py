"""How weights are judged."""
