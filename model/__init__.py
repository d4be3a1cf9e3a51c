"""Pixels to findings; no network, no database."""
