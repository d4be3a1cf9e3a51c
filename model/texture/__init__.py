"""Texture of a region of a film, as the Image Biomarker Standardisation Initiative defines it."""
