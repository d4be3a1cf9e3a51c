"""Recipes and weights of networks that find things in a film and name no disease."""
